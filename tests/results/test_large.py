"""A large result gives the same table, types and notes whether the fast readers took it or not."""

import csv
import io
import json
from collections.abc import Callable

import pytest

from mcp_notebook import results
from mcp_notebook.results.formats import delimited
from mcp_notebook.results.values import large_lists
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
    monkeypatch.setattr(large_lists, "SMALL", 1 << 60)
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


@pytest.mark.parametrize("write", [json.dumps, repr])
@pytest.mark.parametrize(("rows", "columns"), [(20, 2_000), (600, 500)])
def test_a_wide_table_is_read_exactly_for_each_column_costs_a_fast_reader_the_whole_text(
    write: Callable[[object], str], rows: int, columns: int
) -> None:
    names = [f"c{number}" for number in range(columns)]
    records = [dict.fromkeys(names, row + 0.5) for row in range(rows)]
    assert large_lists.cut_to_sample(write(records)) is None


def test_a_long_table_is_cut_to_its_first_two_records() -> None:
    cut = large_lists.cut_to_sample(data.records_text(ROWS))
    assert cut is not None
    assert json.loads(cut.text) == data.records(ROWS)[:2]
    assert cut.table.num_rows == ROWS
