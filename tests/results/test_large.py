"""A large result gives the same table, types and notes whether the fast readers took it or not."""

import csv
import io
import json

import pytest

from mcp_notebook import results
from mcp_notebook.results.formats import delimited
from mcp_notebook.results.values import large
from tests.benchmarks import data

ROWS = 2_000
TEXTS = {
    "records": data.records_text(ROWS),
    "records, indented, deep in an envelope": json.dumps(
        {"data": {"rows": data.records(ROWS)}, "count": ROWS}, indent=1
    ),
    "columns and rows": json.dumps(
        {"columns": data.NAMES, "rows": data.rows(ROWS), "truncated": True}
    ),
    "rows with a header row": json.dumps([list(data.NAMES), *data.rows(ROWS)]),
    "tuples": repr(data.rows(ROWS)),
    "dicts": repr(data.records(ROWS)),
    "dicts after prose": f"Query returned {ROWS} rows:\n{data.records(ROWS)!r}",
    "JSON between prose": f"Found {ROWS} rows.\n\n{data.records_text(ROWS)}\n\nDone.",
}


@pytest.mark.parametrize("form", TEXTS)
def test_the_fast_and_the_exact_way_agree(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = {"content": [{"type": "text", "text": TEXTS[form]}]}
    fast = results.read(result)
    monkeypatch.setattr(large, "SMALL", 1 << 60)
    exact = results.read(result)
    assert (fast.reader, fast.text, fast.confidence) == (
        exact.reader,
        exact.text,
        exact.confidence,
    )
    (one,), (other,) = fast.tables, exact.tables
    assert one.data.schema == other.data.schema
    assert one.data.equals(other.data)
    assert (one.notes, dict(one.types), one.names) == (
        other.notes,
        dict(other.types),
        other.names,
    )
    assert (one.truncated, one.total_rows, one.approximate) == (
        other.truncated,
        other.total_rows,
        other.approximate,
    )


def _csv(rows: list[tuple]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([data.NAMES, *rows])
    return buffer.getvalue()


CSV = {
    "as usual": _csv(data.rows(ROWS)),
    "NULL words": _csv(
        [
            tuple("NULL" if cell is None else cell for cell in row)
            for row in data.rows(ROWS)
        ]
    ),
    "a NULL word among texts": _csv(
        [(*row[:7], "None" if n == 7 else "x") for n, row in enumerate(data.rows(ROWS))]
    ),
}


@pytest.mark.parametrize("form", CSV)
def test_large_csv_agrees_with_the_exact_way(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = {"content": [{"type": "text", "text": CSV[form]}]}
    fast = results.read(result).tables[0]
    monkeypatch.setattr(delimited, "LARGE", 1 << 60)
    exact = results.read(result).tables[0]
    assert fast.data.equals(exact.data)
    assert (fast.notes, dict(fast.types), fast.approximate) == (
        exact.notes,
        dict(exact.types),
        exact.approximate,
    )
