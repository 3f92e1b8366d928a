"""One reading against its truth: equal, wrong and said, wrong and silent; and whose
fault the difference is.

Types are judged twice: `typed` as far as the carrier can say them (`_fits`), `exact` by
the very Python kinds that the database's driver gave (`kinds`, which names the reason
of each difference).

Rules by which a difference is the carrier's, each checked against the raw result:

1. names: the result has no rows and the names do not occur in it; or a repeated name's other values do not occur.
2. no names at all in the result (rows of values only).
3. rows: fewer came, all that came are a prefix of the truth, and the last value of the truth is not in the result.
4. a value: no way to write the true value occurs in the result (rounded, cut, null instead, text instead of bytes).
5. NULL and a word (or the empty text) are written alike in a format that writes all values as bare text.
6. spaces at the ends of a value in a drawn or padded table, and a text that holds the format's own separators.
7. a fraction whose last digit another build of the database computed otherwise: ours is written so in the result.
8. empty bytes beside bytes that are not there either; text written as a JSON number, flag or null.
9. rows that the server replaced by error blocks.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pyarrow as pa

from mcp_notebook.results import Reading, Table
from tests.corpus import kinds
from tests.corpus.equal import same
from tests.corpus.truth import Capture, Tagged, Truth

WORDS = {"(empty)", "NULL", "None", "null", "", "\\N", "NaN"}
BARE = {
    "lines of one column",
    "csv",
    "aligned table",
    "vertical",
    "html",
    "boxed table",
    "columns line",
    "markdown",
}


@dataclass
class Verdict:
    """What became of one capture. `miss` is empty when all is equal; `cause` is
    "carrier" or "ours".
    """

    equal: bool = False
    typed: bool = False
    exact: bool = False
    columns_exact: int = 0
    columns_all: int = 0
    kinds: tuple[str, ...] = ()
    held: bool = True
    silent: bool = False
    miss: str = ""
    cause: str = ""
    untyped: str = ""
    columns: list[str] = field(default_factory=list)


def judge(capture: Capture, reading: Reading, truth: Truth) -> Verdict:
    """Compare the first table with the truth."""
    raw = _raw_text(capture)
    for echo in (capture.sql, json.dumps(capture.sql)[1:-1]) if capture.sql else ():
        # a server that repeats the statement holds none of its values by that
        raw = raw.replace(echo, "")
    if not reading.tables:
        return _none(reading, truth, raw)
    table = reading.tables[0]
    verdict = _structure(table, truth, raw, reading)
    if verdict is None:
        verdict = _values(table, truth, raw, reading)
    if verdict.miss:
        verdict.silent = not _said(verdict, table, reading)
        verdict.held = verdict.cause == "ours"
    return verdict


def _raw_text(capture: Capture) -> str:
    texts = [
        block.get("text") or "" for block in (capture.result or {}).get("content", [])
    ]
    structured = json.dumps(
        (capture.result or {}).get("structuredContent"), ensure_ascii=False
    )
    return "\n".join([*texts, structured])


def _none(reading: Reading, truth: Truth, raw: str) -> Verdict:
    names_there = all(_occurs_text(name, raw) for name in truth.columns)
    if not truth.rows and not names_there:
        return Verdict(
            held=False, miss="no rows, and no names in the result", cause="carrier"
        )
    held = names_there and all(
        _occurs(cell, raw) for row in truth.rows[:50] for cell in row
    )
    why = reading.error or "; ".join(
        f"{who}: {reason}" for who, reason in reading.rejected[-3:]
    )
    if (
        held
        and (
            "ambiguous" in why
            or (reading.rejected and "ambiguous" in str(reading.rejected))
        )
        and _own_separators(truth)
    ):
        return Verdict(held=False, miss=f"no table: {why[:120]}", cause="carrier")
    return Verdict(
        held=held, miss=f"no table: {why[:150]}", cause="ours" if held else "carrier"
    )


def _own_separators(truth: Truth) -> bool:
    cells = [*truth.columns, *(cell for row in truth.rows for cell in row)]
    return any(isinstance(cell, str) and re.search(r"[,|\n\t]", cell) for cell in cells)


def _structure(
    table: Table, truth: Truth, raw: str, reading: Reading
) -> Verdict | None:
    names = table.data.column_names
    if not truth.rows and not names:
        return Verdict(
            held=False, miss="no rows, and no names in the result", cause="carrier"
        )
    if len(names) != len(truth.columns):
        counts = Counter(truth.columns)
        repeated = len(counts) < len(truth.columns) and len(names) == len(counts)
        cause = "carrier" if repeated and _overwritten(truth, raw) else "ours"
        return Verdict(
            miss=f"{len(names)} columns for {len(truth.columns)}",
            cause=cause,
            columns=list(truth.columns),
        )
    wrong = [
        true
        for true, got in zip(truth.columns, names, strict=True)
        if not _same_name(true, got)
    ]
    if wrong:
        lost = not all(_occurs_text(name, raw) for name in wrong)
        return Verdict(
            miss=f"names {wrong[:4]} are {names[:4]}",
            cause="carrier" if lost else "ours",
            columns=wrong,
        )
    if table.data.num_rows != len(truth.rows):
        return _row_count(table, truth, raw, reading)
    return None


def _overwritten(truth: Truth, raw: str) -> bool:
    """Whether one of the values under a repeated name is gone."""
    repeated = [
        n for n, name in enumerate(truth.columns) if truth.columns.count(name) > 1
    ]
    # without the structured content, which says the same again
    once = raw.rpartition("\n")[0] or raw
    kept = [
        len(re.findall(rf'"{name}\\*": ?', once)) >= 2 * max(len(truth.rows), 1)
        for name in set(truth.columns)
    ]
    texts = [row[n] for row in truth.rows for n in repeated if isinstance(row[n], str)]
    return not all(kept) or not all(_occurs(cell, raw) for cell in texts) or not texts


def _same_name(true: str, got: str) -> bool:
    return true == got or bool(
        re.fullmatch(rf"(?:\w+\.)?{re.escape(true)}(?:__?\d+|[.:]\d+)?", got)
    )


def _row_count(table: Table, truth: Truth, raw: str, reading: Reading) -> Verdict:
    count = table.data.num_rows
    miss = f"{count} rows for {len(truth.rows)}"
    own = reading.reader in BARE and any(
        isinstance(cell, str) and "\n" in cell for row in truth.rows for cell in row
    )
    failed = any("blocks are errors" in note for note in table.notes)
    if (
        own
        or failed
        or (count == 0 and len(truth.rows) == 1 and truth.rows[0] == [None])
    ):
        return Verdict(miss=miss, cause="carrier")
    prefix = count < len(truth.rows) and not _differences(table, truth, count, raw)
    cut = prefix and not all(_occurs(cell, raw) for cell in truth.rows[-1])
    return Verdict(miss=miss, cause="carrier" if cut else "ours")


def _differences(
    table: Table, truth: Truth, rows: int, raw: str
) -> dict[str, list[tuple[Any, Any]]]:
    """For each column its cells that differ, as (true, got)."""
    found = {}
    for number, name in enumerate(table.data.column_names):
        got = _cells(table.data.column(number).slice(0, rows))
        true = [row[number] for row in truth.rows[:rows]]
        differing = [
            (a, b)
            for a, b in zip(true, got, strict=True)
            if not same(a, b) and not _computed(a, b, raw)
        ]
        if differing:
            found[name] = differing
    return found


def _cells(column: pa.ChunkedArray) -> list[Any]:
    cells = column.to_pylist()
    if isinstance(column.type, pa.JsonType):
        return [None if cell is None else json.loads(cell) for cell in cells]
    return [
        cell.to_pydatetime() if hasattr(cell, "to_pydatetime") else cell
        for cell in cells
    ]


def _values(table: Table, truth: Truth, raw: str, reading: Reading) -> Verdict:
    differing = _differences(table, truth, len(truth.rows), raw)
    if not differing:
        untyped = _untyped(table, truth, reading)
        found = kinds.differences(table, truth)
        return Verdict(
            equal=True, typed=not untyped, untyped=untyped, exact=not any(found), kinds=tuple(filter(None, found)),
            columns_exact=sum(not reason for reason in found), columns_all=len(found),
        )  # fmt: skip
    causes = {name: _cause(pairs, raw, reading) for name, pairs in differing.items()}
    first, pairs = next(iter(differing.items()))
    ours = [name for name, cause in causes.items() if cause == "ours"]
    example = next(((name, differing[name][0]) for name in ours), (first, pairs[0]))
    miss = f"{len(differing)} columns differ, e.g. {example[0]}: true {example[1][0]!r:.60} got {example[1][1]!r:.60}"
    return Verdict(
        miss=miss, cause="ours" if ours else "carrier", columns=list(differing)
    )


def _cause(pairs: list[tuple[Any, Any]], raw: str, reading: Reading) -> str:
    json_text = reading.reader not in BARE and "{" in raw
    for true, got in pairs:
        if (
            json_text
            and isinstance(true, str)
            and not isinstance(got, str)
            and f'"{true}"' not in raw
        ):
            continue
        if true == b"" and len(pairs) > 1:
            continue
        bare = reading.reader in BARE or _stringified(raw)
        if bare and _word(true) and _word(got):
            continue
        if (
            reading.reader in BARE
            and isinstance(true, str)
            and isinstance(got, str)
            and true.strip() == got.strip()
        ):
            continue
        if not _occurs(true, raw) or (
            got is None and _word(true) and true is not None and f'"{true}"' not in raw
        ):
            continue
        return "ours"
    return "carrier"


def _computed(true: Any, got: Any, raw: str) -> bool:
    """Rule 7: a fraction whose last digit another build of the database computed
    otherwise, and wrote so.
    """
    if not isinstance(true, (float, Decimal)) or not isinstance(got, (float, Decimal)):
        return False
    return abs(Decimal(true) - Decimal(got)) <= abs(Decimal(true)) * Decimal(
        "1e-14"
    ) and (str(got) in raw)


def _word(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value in WORDS)


def _stringified(raw: str) -> bool:
    return '"None"' in raw and ": null" not in re.sub(r'\\*"error\\*": null', "", raw)


def _occurs_text(text: str, raw: str) -> bool:
    forms = (
        text,
        json.dumps(text, ensure_ascii=False)[1:-1],
        json.dumps(text)[1:-1],
        repr(text)[1:-1],
    )
    return any(form in raw for form in forms)


def _occurs(value: Any, raw: str) -> bool:
    """Whether some way to write the value is in the result; None and small values count
    as there.
    """
    if value is None or value == "" or value == b"" or isinstance(value, bool):
        return True
    if isinstance(value, str):
        return _occurs_text(value, raw) or _occurs_text(
            value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"), raw
        )
    if isinstance(value, float):
        return _occurs_float(value, raw)
    if isinstance(value, (int, Decimal)):
        return bool(
            re.search(rf"(?<![\d.]){re.escape(format(Decimal(value), 'f'))}(?!\d)", raw)
        )
    if isinstance(value, dt.datetime):
        return _occurs_time(value, raw)
    if isinstance(value, dt.date):
        return (
            value.isoformat() in raw
            or f"date({value.year}, {value.month}, {value.day})" in raw
        )
    if isinstance(value, bytes):
        return _occurs_bytes(value, raw)
    if isinstance(value, Tagged):
        return value.text in raw or re.sub(r"\s", "", value.text) in raw
    if isinstance(value, dt.timedelta):
        return any(
            form in raw
            for form in (
                str(value),
                "36:00:00",
                "hours",
                "timedelta",
                str(value.total_seconds()),
            )
        )
    if isinstance(value, dict):
        return all(_occurs(item, raw) for item in value.values())
    return (
        all(_occurs(item, raw) for item in value)
        if isinstance(value, list)
        else str(value)[:8] in raw
    )


def _occurs_float(value: float, raw: str) -> bool:
    if value != value or value in (float("inf"), float("-inf")):
        return (
            bool(re.search(r"\b-?(?:inf|nan|infinity)\b", raw, re.IGNORECASE))
            and "%!s" not in raw
        )
    forms = {
        repr(value),
        f"{value:g}" if float(f"{value:g}") == value else "",
        format(Decimal(repr(value)), "f"),
        f"{value:.17g}",
        str(int(value)) if value == int(value) else "",
    }
    return any(form and form in raw for form in forms)


def _occurs_time(value: dt.datetime, raw: str) -> bool:
    """The same second, and the same fraction of a second, in any of the usual ways to write it."""
    if f"{value.year}, {value.month}, {value.day}, {value.hour}, {value.minute}" in raw:
        return True
    seconds = value.strftime("%H:%M:%S") if value.year >= 1000 else ""
    fraction = f".{value.microsecond:06d}".rstrip("0") if value.microsecond else ""
    there = f"{seconds}{fraction}" in raw
    return (
        there
        or (
            value.strftime("%H:%M:%S") == "00:00:00" and value.date().isoformat() in raw
        )
        or (value.tzinfo is not None and fraction in raw)
    )


def _occurs_bytes(value: bytes, raw: str) -> bool:
    forms = [
        value.hex(),
        repr(value)[2:-1],
        json.dumps(repr(value))[1:-1],
        ",".join(map(str, value)),
    ]
    return any(form in re.sub(r"\s", "", raw) or form in raw for form in forms)


def _said(verdict: Verdict, table: Table, reading: Reading) -> bool:
    """Whether the table says that it may differ: approximate, truncated, or a note that
    names each column.
    """
    if table.approximate or table.truncated or not table.data.column_names:
        return True
    notes = "\n".join((*table.notes, *reading.notes))
    if "may have a limit" in notes and "rows for" in verdict.miss:
        return True
    if verdict.columns and all(f"`{name}`" in notes for name in verdict.columns):
        return True
    return (
        "spaces at the ends" in notes
        and len(verdict.columns) > 0
        and verdict.cause == "carrier"
    )


def _untyped(table: Table, truth: Truth, reading: Reading) -> str:
    for number, name in enumerate(table.data.column_names):
        true = [row[number] for row in truth.rows if row[number] is not None]
        kind = table.data.schema.types[number]
        if true and not _fits(true, kind, reading, truth.types is None):
            return f"{name}: true {type(true[0]).__name__} {true[0]!r:.40}, got {table.types.get(name)}"
    return ""


def _fits(
    true: list[Any], kind: pa.DataType, reading: Reading, untyped_engine: bool
) -> bool:
    """Whether the Arrow type is the truth's, as far as the carrier can say it.

    JSON has one kind of number and no dates, times, durations, bytes or addresses:
    where it wrote text, text is right except for dates and timestamps, and numbers in
    quotes. Bare text tells integers, fractions and dates apart.
    """
    sample = next(
        (value for value in true if not isinstance(value, float) or value == value),
        true[0],
    )
    number = (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
    )
    text = pa.types.is_string(kind)
    nested = pa.types.is_nested(kind) or isinstance(kind, pa.JsonType)
    if isinstance(sample, bool):
        return pa.types.is_boolean(kind) or (
            pa.types.is_integer(kind) and reading.reader not in ("python",)
        )
    if isinstance(sample, int):
        whole = pa.types.is_integer(kind) or (
            pa.types.is_decimal(kind) and kind.scale == 0
        )
        mixed = any(isinstance(value, float) for value in true)
        return whole or (mixed and number)
    if isinstance(sample, (float, Decimal)):
        return number
    if isinstance(sample, dt.datetime):
        return pa.types.is_timestamp(kind) or (
            pa.types.is_date(kind) and _midnight(true)
        )
    if isinstance(sample, dt.date):
        return pa.types.is_date(kind)
    if isinstance(sample, bytes):
        return pa.types.is_binary(kind) or text
    if isinstance(sample, str):
        return (
            text
            or (nested and sample[:1] in "[{")
            or (untyped_engine and (pa.types.is_temporal(kind)))
        )
    return text or nested or pa.types.is_temporal(kind)


def _midnight(true: list[Any]) -> bool:
    return all(value.time() == dt.time() for value in true)
