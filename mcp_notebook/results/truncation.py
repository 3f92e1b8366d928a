"""Whether a server cut its result: by its flags, by its words, by counts that disagree,
or by a very round number.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from mcp_notebook.results.reading import Raw
from mcp_notebook.sql_words import row_limit

_FLAGS = frozenset(
    "truncated is_truncated istruncated has_more hasmore more more_rows morerows "
    "limited has_next hasnext has_next_page hasnextpage is_partial partial incomplete "
    "was_truncated limit_reached limitreached limit_hit has_more_rows hasmorerows "
    "results_truncated rows_truncated".split()
)
_CURSORS = frozenset(
    "next_cursor nextcursor next_token nexttoken next_page_token nextpagetoken "
    "next_page nextpage next_range next_offset nextoffset continuation_token "
    "continuationtoken pagetoken next".split()
)
_TOTALS = frozenset(
    "total_rows totalrows total_count totalcount total rowcount row_count rows count "
    "num_rows numrows total_records totalrecords rows_total total_row_count "
    "totalrowcount n_rows size total_elements totalelements total_hits totalhits".split()
)
# Beside these the size is a page's.
_PAGE_COUNTS = frozenset("total_elements totalelements total_pages totalpages".split())
_WORDS = frozenset(
    "warning message hint note notice truncation_message truncationmessage info".split()
)
_STATEMENTS = frozenset(
    "sql query statement executed_sql executed_query executedquery executedsql "
    "final_sql final_query".split()
)
_LIMITS = frozenset(
    "limit max_rows maxrows row_limit rowlimit limit_rows page_size pagesize per_page "
    "perpage max_results maxresults top top_n n_rows nrows num_rows first head "
    "sample_size rows_limit max_records batch_size fetch_size".split()
)
# A line that speaks of a cut, in the words of servers and in a few languages.
_SENTENCE = re.compile(
    r"(?:\btruncat\w+|"
    r"\bshow(?:ing|n|s)? (?:only )?(?:the )?"
    r"(?:first|top|only|\d[\d,]* (?:of|out of))|"
    r"\b(?:limited|capped|restricted|cut|clipped) (?:to|at|off)|"
    r"\bfirst \d[\d,]* (?:of|rows|results|records)|"
    r"\b\d[\d,]* more (?:rows|records|results)|"
    r"\bmore (?:rows|results|records) (?:available|exist|not shown|omitted)|"
    r"\b(?:rows|results|records) (?:were |are )?"
    r"(?:omitted|not shown|hidden|dropped|skipped)|"
    r"\bmay be additional rows|"
    r"\bmax(?:imum)? (?:of )?\d[\d,]* (?:rows|results|records)|"
    r"\bonly (?:the )?(?:first )?\d[\d,]* (?:rows|results|records)|"
    r"\bout of \d[\d,]*|\b(?:row|result|output|size) limit\b|"
    r"\b\d[\d,]* of \d[\d,]* (?:rows|results|records)|"
    r"\.\.\. ?\(?\d|tronqu|abgeschnitten|gekürzt|"
    r"truncad|截断|截斷|仅显示|僅顯示|前 ?\d+ ?(?:行|条|條)|切り捨て|обрезан)",
    re.IGNORECASE,
)
_COUNT = re.compile(
    r"(?:of|out of|total(?: of)?:?)\s+([\d,]+)|"
    r"([\d,]+)\s+total|([\d,]+)\s+(?:rows? )?in total",
    re.IGNORECASE,
)
_ROWS_SAID = re.compile(
    r"^\W*(?:"
    r"(?:result|rows?(?: returned)?|total|count|retrieved|returned|fetched|found)\b:?"
    r"\s*(\d[\d,]*)(?: rows?)?|"
    r"(\d[\d,]*) rows?(?: in set)?\b)",
    re.IGNORECASE | re.MULTILINE,
)
# A line of dots between rows stands for rows.
_DOTS = re.compile(r"^[ \t]*(?:\.{3,}|…)[ \t]*$", re.MULTILINE)
_EDGE = 4000  # characters at the beginning and the end of a text that are looked at
# Numbers that people choose as limits.
_ROUND = frozenset(
    map(
        int,
        "10 20 25 50 100 200 250 256 300 400 500 512 1000 1024 1500 2000 2048 2500 "
        "5000 10000 20000 25000 50000 65536 100000 1000000".split(),
    )
)
_DEEPEST_FACTS, _MOST_ENTERED = 3, 64
# Objects about the list beside them.
_PAGERS = frozenset(
    "pagination paging pager page_info pageinfo page meta metadata summary info stats "
    "statistics resultset result_info response_metadata data result".split()
)
_LEAST_SUSPECT = 25
_LEAST_EXPORT = 10_000

Facts = list[tuple[str, Any]]


def mark_truncated(
    raw: Raw,
    meta: Mapping[str, Any],
    rest: str,
    sql: str,
    arguments: Mapping[str, Any] | None = None,
    together: int = 0,
) -> Raw:
    """The table with its `truncated` and `total_rows` filled from the envelope and the
    text around it.

    `arguments` are those of the call: rows in just the number that one of them asked
    for may be cut.
    """
    if set(raw.names or ()) == set(map(str, meta)):
        meta = {}  # the envelope is the row itself

    facts = list(_facts(meta, 0))
    total = _find_total(_counts_beside(raw, meta), raw.rows)
    if total == together != raw.rows:
        total = None  # what several lists have together is no list's count

    reason = _find_reason(raw, facts, rest, sql, total)
    if reason:
        if total is None:
            total = _find_larger_count(reason, raw.rows)
        total = raw.total_rows or total
        return replace(raw, truncated=reason.strip(), total_rows=total)

    said = _rows_said(rest) or 0
    if said > raw.rows:
        reason = f"the server says {said:,} rows and {raw.rows:,} came"
        return replace(raw, truncated=reason, total_rows=said)
    if total is not None and not raw.total_rows:
        raw = replace(raw, total_rows=total)

    return _note_reached_limit(raw, facts, sql, arguments or {})


def _find_reason(raw: Raw, facts: Facts, rest: str, sql: str, total: int | None) -> str:
    """Why the rows are cut, by the surest sign first; "" when nothing says so."""
    reason = (
        raw.truncated
        or _find_flag(facts)
        or _find_sentence(facts, rest)
        or _find_added_limit(raw, facts, rest, sql)
        or _find_dots(rest)
    )
    if not reason and total is not None and total > raw.rows:
        return f"the server counts {total:,} rows and {raw.rows:,} came"

    return reason


def _counts_beside(raw: Raw, meta: Mapping[str, Any]) -> Facts:
    """The scalars that count the rows of a list: those beside it or above it, and those
    in an object about pages.
    """
    facts: Facts = []
    level: Any = meta
    for name in (*raw.path.split("."), None):
        if not isinstance(level, Mapping):
            break

        facts += _facts(level, _DEEPEST_FACTS)
        for key, sub in level.items():
            if type(sub) is dict and str(key).lower().strip("_") in _PAGERS:
                facts += _facts(sub, 0)

        level = level.get(name)

    return facts


def _facts(meta: Mapping[str, Any], depth: int) -> Iterator[tuple[str, Any]]:
    """Scalar entries of an envelope and its first inner objects, of which many are
    records; never a row's own columns.
    """
    entered = 0
    for key, value in meta.items():
        if type(value) is dict:
            entered += 1
            if depth < _DEEPEST_FACTS and entered <= _MOST_ENTERED:
                yield from _facts(value, depth + 1)
        elif isinstance(value, (str, int, float, bool)) or value is None:
            yield str(key).lower().replace("-", "_"), value


# --- signs of a cut


def _find_flag(facts: Facts) -> str:
    """A flag that says that there is more, in the words beside it if there are any."""
    flags = _facts_of(facts, _FLAGS)
    raised = [key for key, value in flags if str(value) in ("true", "True", "yes")]
    if raised:
        words = [text for _, text in _facts_of(facts, _WORDS, str) if text]
        return next(iter(words), f"the server says {raised[0]}")

    cursors = _facts_of(facts, _CURSORS)
    given = [key for key, value in cursors if value not in (None, "", False, -1)]
    return f"there is more: the server gave {given[0]}" if given else ""


def _facts_of(
    facts: Facts, keys: frozenset[str], *kinds: type
) -> Iterator[tuple[str, Any]]:
    """The facts under some keys, of some types if any are given."""
    for key, value in facts:
        if key in keys and (not kinds or type(value) in kinds):
            yield key, value


def _find_sentence(facts: Facts, rest: str) -> str:
    words = [text for _, text in _facts_of(facts, _WORDS, str)]
    return next(filter(None, map(_find_line, [*words, rest])), "")


def _find_line(text: str) -> str:
    """The line that speaks of a cut; only the beginning and the end of a long text are
    looked at.
    """
    if len(text) > 2 * _EDGE:
        text = f"{text[:_EDGE]}\n{text[-_EDGE:]}"

    match = _SENTENCE.search(text)
    if match is None:
        return ""

    start, end = text.rfind("\n", 0, match.start()) + 1, text.find("\n", match.end())
    return text[start : end if end >= 0 else len(text)].strip()[:300]


def _find_dots(rest: str) -> str:
    if _DOTS.search(rest[-_EDGE:]):
        return "a line of dots stands where rows were left out"
    return ""


def _find_added_limit(raw: Raw, facts: Facts, rest: str, sql: str) -> str:
    """A server that repeats the statement with a LIMIT of its own, and as many rows as that."""
    if not sql or not raw.rows:
        return ""

    repeated = [text for _, text in _facts_of(facts, _STATEMENTS, str)]
    limits = set(map(row_limit, repeated or [rest[:_EDGE]])) - {None, row_limit(sql)}
    if raw.rows not in limits:
        return ""

    return f"the server added LIMIT {raw.rows:,} to the statement"


# --- counts


def _find_total(facts: Facts, rows: int) -> int | None:
    """The largest count the server gives that is not smaller than what came."""
    is_paged = any(key in _PAGE_COUNTS for key, _ in facts)
    keys = _TOTALS - {"size"} if is_paged else _TOTALS
    counts = [count for _, count in _facts_of(facts, keys, int)]
    return max((count for count in counts if count >= rows), default=None)


def _find_larger_count(text: str, rows: int) -> int | None:
    """The largest number of rows that a sentence speaks of, above those that came."""
    numbers = itertools.chain.from_iterable(_COUNT.findall(text))
    counts = [int(number.replace(",", "") or 0) for number in numbers]
    return max((count for count in counts if count > rows), default=None)


def _rows_said(rest: str) -> int | None:
    match = _ROWS_SAID.search(rest[-_EDGE:])
    return int((match[1] or match[2]).replace(",", "")) if match else None


# --- limits that were reached exactly


def _note_reached_limit(
    raw: Raw, facts: Facts, sql: str, arguments: Mapping[str, Any]
) -> Raw:
    own = row_limit(sql)
    if own is not None and own <= raw.rows:
        return raw  # the statement itself asked for no more

    # what an answer calls a limit may be anything; what was asked for is one
    limit = _reached_limit(list(_facts(arguments, 0)), raw.rows)
    if limit and (raw.total_rows or 0) <= raw.rows:
        return raw.with_note(
            f"exactly the {raw.rows:,} rows that `{limit}` allows: there may be more"
        )
    if raw.rows < _LEAST_SUSPECT or raw.rows not in _ROUND:
        return raw
    # a server that counts the rows of an export knows how many there are
    if raw.total_rows == raw.rows and raw.rows >= _LEAST_EXPORT:
        return raw

    return raw.with_note(
        f"exactly {raw.rows:,} rows: the server may have a limit that it does not tell"
    )


def _reached_limit(facts: Facts, rows: int) -> str:
    """The name of a limit that the rows reach exactly."""
    limits = _facts_of(facts, _LIMITS, int, str) if rows else ()
    return next((key for key, value in limits if str(value) == str(rows)), "")
