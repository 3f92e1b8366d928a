"""Whether a server cut its result: by its flags, by its words, by counts that disagree,
or by a very round number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from mcp_notebook.results.raw_table import Raw
from mcp_notebook.sql_words import row_limit

_FLAGS = (
    "truncated", "is_truncated", "istruncated", "has_more", "hasmore", "more", "more_rows", "morerows", "limited",
    "has_next", "hasnext", "has_next_page", "hasnextpage", "is_partial", "partial", "incomplete", "was_truncated",
    "limit_reached", "limitreached", "limit_hit", "has_more_rows", "hasmorerows", "results_truncated", "rows_truncated",
)  # fmt: skip
_CURSORS = (
    "next_cursor", "nextcursor", "next_token", "nexttoken", "next_page_token", "nextpagetoken", "next_page", "nextpage",
    "next_range", "next_offset", "nextoffset", "continuation_token", "continuationtoken", "pagetoken", "next",
)  # fmt: skip
_TOTALS = (
    "total_rows", "totalrows", "total_count", "totalcount", "total", "rowcount", "row_count", "rows", "count",
    "num_rows", "numrows", "total_records", "totalrecords", "rows_total", "total_row_count", "totalrowcount",
    "n_rows", "size",
)  # fmt: skip
_SENTENCE = re.compile(
    r"(?:\btruncat\w+|\bshow(?:ing|n|s)? (?:only )?(?:the )?(?:first|top|only|\d[\d,]* (?:of|out of))|"
    r"\b(?:limited|capped|restricted|cut|clipped) (?:to|at|off)|\bfirst \d[\d,]* (?:of|rows|results|records)|"
    r"\b\d[\d,]* more (?:rows|records|results)|\bmore (?:rows|results|records) (?:available|exist|not shown|omitted)|"
    r"\b(?:rows|results|records) (?:were |are )?(?:omitted|not shown|hidden|dropped|skipped)|\bmay be additional rows|"
    r"\bmax(?:imum)? (?:of )?\d[\d,]* (?:rows|results|records)|"
    r"\bonly (?:the )?(?:first )?\d[\d,]* (?:rows|results|records)|"
    r"\bout of \d[\d,]*|\b(?:row|result|output|size) limit\b|\b\d[\d,]* of \d[\d,]* (?:rows|results|records)|"
    r"\.\.\. ?\(?\d|tronqu|abgeschnitten|gekürzt|"
    r"truncad|截断|截斷|仅显示|僅顯示|前 ?\d+ ?(?:行|条|條)|切り捨て|обрезан)",
    re.IGNORECASE,
)
_COUNT = re.compile(
    r"(?:of|out of|total(?: of)?:?)\s+([\d,]+)|([\d,]+)\s+total|([\d,]+)\s+(?:rows? )?in total",
    re.IGNORECASE,
)
_ROWS_SAID = re.compile(
    r"^\W*(?:(?:result|rows?(?: returned)?|total|count|retrieved|returned|fetched|found)\b:?\s*(\d[\d,]*)(?: rows?)?|"
    r"(\d[\d,]*) rows?(?: in set)?\b)",
    re.IGNORECASE | re.MULTILINE,
)
_STATEMENTS = ("sql", "query", "statement", "executed_sql", "executed_query", "executedquery", "executedsql",
               "final_sql", "final_query")  # fmt: skip
_LIMITS = ("limit", "max_rows", "maxrows", "row_limit", "rowlimit", "limit_rows", "page_size", "pagesize", "per_page",
           "perpage", "max_results", "maxresults", "top", "top_n", "n_rows", "nrows", "num_rows", "first", "head",
           "sample_size", "rows_limit", "max_records", "batch_size", "fetch_size")  # fmt: skip
_EDGE = 4000
_ROUND = {10, 20, 25, 50, 100, 200, 250, 256, 300, 400, 500, 512, 1000, 1024, 1500, 2000, 2048, 2500, 5000, 10_000,
          20_000, 25_000, 50_000, 65_536, 100_000, 1_000_000}  # fmt: skip


def noticed(
    raw: Raw,
    meta: Mapping[str, Any],
    rest: str,
    sql: str,
    arguments: Mapping[str, Any] | None = None,
) -> Raw:
    """The table with its `truncated` and `total_rows` filled from the envelope and the
    text around it.

    `arguments` are those of the call: rows in just the number that one of them asked
    for may be cut.
    """
    # the envelope is the row itself
    lone = bool(meta) and set(raw.names or ()) == set(map(str, meta))
    facts = [] if lone else list(_facts(meta, 0))
    total = _total(facts, raw.rows)
    reason = (
        raw.truncated
        or _flag(facts)
        or _sentence(facts, rest)
        or _added_limit(raw, facts, rest, sql)
    )
    if not reason and total is not None and total > raw.rows:
        reason = f"the server counts {total:,} rows and {raw.rows:,} came"
    if total is None and reason:
        total = _count_in(reason, raw.rows)
    if reason:
        return replace(
            raw, truncated=reason.strip(), total_rows=raw.total_rows or total
        )
    said = _said(rest)
    if said is not None and said > raw.rows:
        return replace(
            raw,
            truncated=f"the server says {said:,} rows and {raw.rows:,} came",
            total_rows=said,
        )
    raw = raw if total is None or raw.total_rows else replace(raw, total_rows=total)
    asked = _asked(facts, raw.rows) or _asked(
        list(_facts(arguments or {}, 0)), raw.rows
    )
    if asked and (raw.total_rows or 0) <= raw.rows and not _own_limit(raw, sql):
        return raw.noted(
            f"exactly the {raw.rows:,} rows that `{asked}` allows: there may be more"
        )
    return _soft_hint(raw, sql)


def _added_limit(raw: Raw, facts: list[tuple[str, Any]], rest: str, sql: str) -> str:
    """A server that repeats the statement with a LIMIT of its own, and as many rows as that."""
    if not sql or not raw.rows:
        return ""
    repeated = [
        value for key, value in facts if key in _STATEMENTS and isinstance(value, str)
    ] or [rest[:_EDGE]]
    limits = {row_limit(text) for text in repeated} - {None, row_limit(sql)}
    return (
        f"the server added LIMIT {raw.rows:,} to the statement"
        if raw.rows in limits
        else ""
    )


def _asked(facts: list[tuple[str, Any]], rows: int) -> str:
    """The name of a limit that the rows reach exactly."""
    reached = (
        key
        for key, value in facts
        if key in _LIMITS and type(value) in (int, str) and str(value) == str(rows)
    )
    return next(reached, "") if rows else ""


def _own_limit(raw: Raw, sql: str) -> bool:
    limit = row_limit(sql)
    return limit is not None and limit <= raw.rows


def _soft_hint(raw: Raw, sql: str) -> Raw:
    if raw.rows < 25 or raw.rows not in _ROUND or _own_limit(raw, sql):
        return raw
    if raw.total_rows is not None and raw.total_rows == raw.rows and raw.rows >= 10_000:
        return raw
    return raw.noted(
        f"exactly {raw.rows:,} rows: the server may have a limit that it does not tell"
    )


def _facts(meta: Mapping[str, Any], depth: int) -> Iterator[tuple[str, Any]]:
    """Scalar entries of an envelope and its inner objects; never a row's own columns."""
    for key, value in meta.items():
        if isinstance(value, Mapping) and depth < 3:
            yield from _facts(value, depth + 1)
        elif isinstance(value, (str, int, float, bool)) or value is None:
            yield str(key).lower().replace("-", "_"), value


def _flag(facts: list[tuple[str, Any]]) -> str:
    for key, value in facts:
        if key in _FLAGS and (value is True or value in ("true", "True", "yes")):
            told = next(
                (
                    text
                    for name, text in facts
                    if name in _WORDS and isinstance(text, str) and text
                ),
                "",
            )
            return told or f"the server says {key}"
    for key, value in facts:
        if key in _CURSORS and value not in (None, "", False, -1):
            return f"there is more: the server gave {key}"
    return ""


_WORDS = (
    "warning",
    "message",
    "hint",
    "note",
    "notice",
    "truncation_message",
    "truncationmessage",
    "info",
)


def _sentence(facts: list[tuple[str, Any]], rest: str) -> str:
    for key, value in facts:
        if key in _WORDS and isinstance(value, str) and (said := _line_of(value)):
            return said
    return _line_of(rest)


def _line_of(text: str) -> str:
    """The line that speaks of a cut; only the beginning and the end of a long text are
    looked at.
    """
    text = text if len(text) <= 2 * _EDGE else f"{text[:_EDGE]}\n{text[-_EDGE:]}"
    match = _SENTENCE.search(text)
    if match is None:
        return ""
    start, end = text.rfind("\n", 0, match.start()) + 1, text.find("\n", match.end())
    return text[start : end if end >= 0 else len(text)].strip()[:300]


def _total(facts: list[tuple[str, Any]], rows: int) -> int | None:
    """The largest count the server gives that is not smaller than what came."""
    counts = [
        value
        for key, value in facts
        if key in _TOTALS and type(value) is int and value >= rows
    ]
    return max(counts, default=None)


def _count_in(text: str, rows: int) -> int | None:
    found = [
        int(number.replace(",", ""))
        for match in _COUNT.findall(text)
        for number in match
        if number.strip(",")
    ]
    return max((count for count in found if count > rows), default=None)


def _said(rest: str) -> int | None:
    match = _ROWS_SAID.search(rest[-_EDGE:])
    return int((match[1] or match[2]).replace(",", "")) if match else None
