"""A large result gives the same table, types and notes whether the fast readers took it or not."""

import json

import pytest

from mcp_notebook import results
from mcp_notebook.results import large
from tests.benchmarks import data

ROWS = 2_000
TEXTS = {
    "records": data.records_text(ROWS),
    "records, indented, deep in an envelope": json.dumps(
        {"data": {"rows": data.records(ROWS)}, "count": ROWS}, indent=1
    ),
    "columns and rows": json.dumps({"columns": data.NAMES, "rows": data.rows(ROWS), "truncated": True}),
    "rows with a header row": json.dumps([list(data.NAMES), *data.rows(ROWS)]),
    "tuples": repr(data.rows(ROWS)),
    "dicts": repr(data.records(ROWS)),
    "dicts after prose": f"Query returned {ROWS} rows:\n{data.records(ROWS)!r}",
    "JSON between prose": f"Found {ROWS} rows.\n\n{data.records_text(ROWS)}\n\nDone.",
}


@pytest.mark.parametrize("form", TEXTS)
def test_the_fast_and_the_exact_way_agree(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    result = {"content": [{"type": "text", "text": TEXTS[form]}]}
    fast = results.read(result)
    monkeypatch.setattr(large, "SMALL", 1 << 60)
    exact = results.read(result)
    assert (fast.reader, fast.text, fast.confidence) == (exact.reader, exact.text, exact.confidence)
    (one,), (other,) = fast.tables, exact.tables
    assert one.data.schema == other.data.schema
    assert one.data.equals(other.data)
    assert (one.notes, dict(one.types), one.names) == (other.notes, dict(other.types), other.names)
    assert (one.truncated, one.total_rows, one.approximate) == (other.truncated, other.total_rows, other.approximate)
