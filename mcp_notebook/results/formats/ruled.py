"""Headers ruled off by dashes: psql's aligned output, sqlite's columns and their many imitations.

Cells are cut at the separators, or at the columns' places in the rule when a value
holds a separator itself.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import replace

from mcp_notebook.results.columns import strings
from mcp_notebook.results.columns.nulls import NULL_WORDS
from mcp_notebook.results.formats import fitting, spaced
from mcp_notebook.results.raw_table import Answer, Raw, Taken, from_rows, listing

_MAYBE_RULE = re.compile(r"^[ \t]{0,200}-[-+| \t]*$", re.MULTILINE)
_PSQL_END = re.compile(r"\(\d+ rows?\)|\d+ rows? in set.*|Rows?: \d+.*", re.IGNORECASE)
_DOTS = re.compile(r"\.\.\. ?\(|\[?\.\.\.|… ")
_SOFT_NULLS = (*NULL_WORDS, "")


def read(text: str, selected: Sequence[str] = ()) -> Answer:
    """A header, a line of dashes, and rows: psql's aligned output and its many imitations."""
    text = _in_ascii(text)
    if not _MAYBE_RULE.search(text):
        return "no header ruled off by dashes"
    lines = text.splitlines()
    at = next(
        (n for n, line in enumerate(lines) if n and _is_rule(line, lines[n - 1])), None
    )
    if at is None or not lines[at - 1].strip():
        return "no header ruled off by dashes"
    header, rule = lines[at - 1], lines[at]
    body, tail = _body(lines[at + 1 :], rule)
    before = lines[: at - 1]
    rest = "\n".join([*before, *tail]).strip()
    dots = tail and _DOTS.match(tail[0].strip())
    cut = "dots below the last row stand for rows that are left out" if dots else ""
    for reader in (_crossed, spaced.read, _barred, _listed):
        answer = reader(header, rule, body)
        if isinstance(answer, Raw):
            answer = _maybe_torn(answer, tail) if reader is _crossed else answer
            return Taken(
                (
                    _maybe_null(
                        replace(answer, truncated=cut), text.split("\n")[at + 1 :]
                    ),
                ),
                rest=rest,
            )
        if answer:
            return answer
    single = _single(
        header,
        rule,
        body,
        known=list(selected) == [header.strip()],
        alone=not any(map(str.strip, before)),
    )
    if isinstance(single, str):
        return single
    single = _maybe_null(replace(single, truncated=cut), text.split("\n")[at + 1 :])
    return Taken((single,), rest=rest, confidence="medium")


def _in_ascii(text: str) -> str:
    """Rules of lines (rich, psql in Unicode) or equals signs (reStructuredText) as
    dashes, bars and crossings.
    """
    if not ("|" in text or "+" in text) and ("┼" in text or "┿" in text or "╪" in text):
        return "\n".join(
            line for line in text.splitlines() if not _STUBS.fullmatch(line)
        ).translate(_DRAWN)
    if "==" not in text:
        return text
    lines = text.splitlines()
    rules = [n for n, line in enumerate(lines) if _EQUALS.fullmatch(line)]
    if (
        len(rules) not in (2, 3)
        or rules[1] != rules[0] + 2
        or len({lines[n].strip() for n in rules}) > 1
    ):
        return text
    lines[rules[1]] = lines[rules[1]].replace("=", "-")
    kept = [line for n, line in enumerate(lines) if n not in (rules[0], *rules[2:])]
    return "\n".join(kept)


_EQUALS = re.compile(r"[ \t]*={2,}(?: +={2,})+[ \t]*")
_STUBS = re.compile(r"[ \t]*[╷╵╻╹][╷╵╻╹ \t]*")
_DRAWN = str.maketrans({"│": "|", "┃": "|", "║": "|", "┼": "+", "┿": "+", "╪": "+", "─": "-", "━": "-", "═": "-",
                        **dict.fromkeys("╶╴╸╺╷╵╻╹", " ")})  # fmt: skip


def _maybe_torn(raw: Raw, tail: Sequence[str]) -> Raw:
    """psql marks a row that goes on below and counts its rows; its imitations do neither."""
    counted = any(_PSQL_END.fullmatch(line.strip()) for line in tail)
    if counted or not raw.rows or not raw.columns[0][0] or "" not in raw.columns[0]:
        return raw
    return raw.noted(
        "a row with an empty first cell may continue the row above it", approximate=True
    )


def _maybe_null(raw: Raw, below: Sequence[str]) -> Raw:
    """A blank line where rows belong may be a row of nothing but NULL; in one column so
    may the last.
    """
    first = not raw.rows and bool(below) and not below[0].strip()
    last = (
        len(raw.columns) == 1 and len(below) == raw.rows + 1 and not below[-1].strip()
    )
    return (
        raw.noted("an empty line may be a row of NULL", approximate=True)
        if first or last
        else raw
    )


def _is_rule(line: str, above: str) -> bool:
    """Dashes, in one run or in runs with crossings or spaces between; a lone dash only
    under a lone letter.
    """
    dashes = line.strip()
    if not dashes or dashes.strip("-+| \t") or dashes[0] != "-":
        return False
    if set(dashes) == {"-"}:
        return len(dashes) > 2 or len(dashes) == len(above)
    return (
        all(len(run) > 1 for run in re.split(r"[+|\s]+", dashes) if run)
        or "+" in dashes
    )


def _body(lines: list[str], rule: str) -> tuple[list[str], list[str]]:
    """The rows, and what follows them: a count, or a paragraph after a blank line."""
    end, width = len(lines), len(rule)
    for number, line in enumerate(lines):
        if _PSQL_END.fullmatch(line.lstrip()):  # a padded one is a value
            end = number
            break
    blank = next(
        (
            n
            for n in range(end - 1, -1, -1)
            if not lines[n].strip() and len(lines[n]) < width
        ),
        None,
    )
    if blank is not None and blank < end and _is_note(lines[blank:end], rule):
        end = blank
    body = lines[:end]
    # a line of spaces is a row of NULL
    while body and not body[-1].strip() and len(body[-1]) < width:
        body = body[:-1]
    if body and _DOTS.match(body[-1].strip()):
        return body[:-1], lines[len(body) - 1 :]
    return body, lines[len(body) :]


def _is_note(lines: list[str], rule: str) -> bool:
    said = [line for line in lines if line.strip()]
    padded = any(line and not line.strip() and len(line) >= len(rule) for line in lines)
    return not padded and not any(" | " in line or _is_cut(line, rule) for line in said)


def _is_cut(line: str, rule: str) -> bool:
    """Whether a line is cells, each below a run of dashes of its own: two at least, or
    none below the first.
    """
    runs = [match.span() for match in re.finditer(r"-+", rule)]
    gaps = any(
        line[end:start].strip() for (_, end), (start, _) in itertools.pairwise(runs)
    )
    filled = [bool(line[start:end].strip()) for start, end in runs]
    return not gaps and (sum(filled) > 1 or not filled[0])


def _crossed(header: str, rule: str, body: list[str]) -> Raw | str:
    """`a | b` above `---+---`: cells at the crossings; a value may hold a bar, a padded
    cell a line break.
    """
    if "+" not in rule or "|" not in header:
        return ""
    at = [n for n, mark in enumerate(rule) if mark == "+"]
    if any(n >= len(header) or header[n] != "|" for n in at):
        return "ambiguous: header and rule do not line up"
    names = [cell.strip() for cell in _at_places(header, at)]
    rows: list[list[str]] = []
    broken: set[int] = set()
    wrapped = False
    for line in body:
        cells = _at_places(line, at) if _lines_up(line, at) else line.split("|")
        if wrapped and rows and len(cells) == len(names):
            rows[-1] = [
                _append(above, below)
                for above, below in zip(rows[-1], cells, strict=True)
            ]
        elif len(cells) == len(names):
            rows.append(cells)
        elif len(cells) == 1 and rows and len(names) > 1:
            rows[-1][-1] = f"{rows[-1][-1].rstrip()}\n{line.rstrip()}"
            broken.add(len(names) - 1)
        else:
            return f"ambiguous: {line[:60]!r} does not line up with the header"
        wrapped = header.startswith(" ") and any(cell.endswith("+") for cell in cells)
    plain = [[cell.strip() for cell in row] for row in rows]
    raw = from_rows(names, plain, text="all", nulls=_SOFT_NULLS)
    raw = (
        raw.noted("spaces at the ends of values are lost in a drawn table")
        if rows
        else raw
    )
    return _noted(raw, broken, names)


def _append(above: str, below: str) -> str:
    if above.rstrip().endswith("+"):
        return above.rstrip()[:-1].rstrip() + "\n" + below.strip()
    return above


def _lines_up(line: str, at: Sequence[int]) -> bool:
    return all(n < len(line) and line[n] == "|" for n in at)


def _at_places(line: str, at: Sequence[int]) -> list[str]:
    edges = [-1, *at, len(line)]
    return [line[start + 1 : end] for start, end in itertools.pairwise(edges)]


def _barred(header: str, rule: str, body: list[str]) -> Raw | str:
    """`a | b` above one unbroken rule: values joined with bars, not padded, not escaped."""
    if "|" not in header:
        return ""
    separator = " | " if " | " in header else "|"
    return _loose([name.strip() for name in header.split(separator)], body, separator)


def _loose(names: list[str], body: list[str], separator: str) -> Raw | str:
    padded = (
        any(f" {separator}" in line or f"{separator} " in line for line in body)
        or separator == "|"
    )

    def split(line: str) -> list[str]:
        cells = line.split(separator)
        return [cell.strip() for cell in cells] if padded else cells

    lines = [
        f"{line} "
        if line.endswith(separator.rstrip()) and separator.endswith(" ")
        else line
        for line in body
    ]
    fitted = fitting.fit(lines, split, len(names), separator)
    if isinstance(fitted, str):
        return fitted
    rows = (
        [[cell.strip() for cell in row] for row in fitted.rows]
        if padded
        else fitted.rows
    )
    raw = from_rows(names, rows, text="all", nulls=_SOFT_NULLS)
    raw = (
        raw.noted("spaces at the ends of values are lost in a drawn table")
        if padded
        else raw
    )
    return _noted(raw, fitted.repaired, names)


def _listed(header: str, rule: str, body: list[str]) -> Raw | str:
    """`a, b` or tabs above a rule."""
    for separator in ("\t", ", ", ";", ","):
        if separator in header:
            return _loose(
                [name.strip() for name in header.split(separator)], body, separator
            )
    return ""


def _single(
    header: str, rule: str, body: list[str], *, known: bool, alone: bool
) -> Raw | str:
    """One column, ruled off: of the statement, of numbers or dates, or drawn to the
    width of its widest value.
    """
    name = header.strip()
    cells = [
        line[1:] if header.startswith(" ") and line.startswith(" ") else line
        for line in body
    ]
    values = [cell.strip() for cell in cells if cell.strip() not in _SOFT_NULLS]
    typed = all(map(strings.is_number, values)) or all(map(strings.is_temporal, values))
    drawn = len(header) == len(rule) == max(map(len, body), default=0) and len(
        rule
    ) > len(name)
    if not known and not (
        alone and " " not in name and len(name) <= 60 and (typed or drawn)
    ):
        return "one line and a rule are prose"
    raw = Raw(
        (name,),
        ([cell.strip() if typed else cell.rstrip() for cell in cells],),
        len(body),
        text="all",
        nulls=_SOFT_NULLS,
    )
    if len(body) < 2:
        return raw
    return raw.noted(
        f"each line is a row of `{name}`; a value with a line break would be several",
        approximate=True,
    )


def _noted(raw: Raw, repaired: frozenset[int] | set[int], names: Sequence[str]) -> Raw:
    if not repaired:
        return raw
    touched = listing([names[number] for number in sorted(repaired)])
    return raw.noted(
        f"values are not quoted; cells of {touched} were put together again",
        approximate=True,
    )
