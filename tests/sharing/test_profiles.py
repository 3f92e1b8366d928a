"""profile_table: what is counted is right, what is estimated says so, and it fits a model."""

import datetime as dt
import decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mcp import Client

from mcp_notebook.sharing.notebook_server import build_notebook_server
from mcp_notebook.sharing.profiles import TEXT_BYTES
from mcp_notebook.sharing.query import SqlRunner
from tests.sharing.notebooks import Notebook


async def profiled(
    runner: SqlRunner, table: object, **options: object
) -> tuple[str, dict, dict]:
    """The text, the structured content, and its rows by column."""
    server = build_notebook_server(
        Notebook(t=table).catalog, form="json", runner=runner, **options
    )  # type: ignore[arg-type]
    async with Client(server) as client:
        result = await client.call_tool("profile_table", {"table": "T"})
    assert not result.is_error, result.content[0].text
    content = result.structured_content
    names = [column["name"] for column in content["columns"]]
    return (
        result.content[0].text,
        content,
        {row[0]: dict(zip(names, row, strict=True)) for row in content["rows"]},
    )


async def test_the_figures_are_those_of_the_data(runner: SqlRunner):
    """Nulls, distinct, range, mean, quartiles, frequent values, duplicates and keys."""
    frame = pd.DataFrame(
        {
            "id": range(8),
            "kind": ["a", "b", "a", "a", None, "b", "c", "a"],
            "price": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, None],
            "day": pd.date_range("2026-01-01", periods=8),
            "ok": [True] * 7 + [False],
        }
    )
    text, content, rows = await profiled(runner, frame)
    assert (content["table_rows"], content["duplicate_rows"]) == (8, 0)
    assert content["candidate_keys"] == [["id"], ["day"]]
    assert [
        rows["kind"][key] for key in ("nulls", "distinct", "distinct_is_exact")
    ] == [1, 3, True]
    assert rows["kind"]["top"] == "a: 4 | b: 2 | c: 1"
    assert (rows["price"]["min"], rows["price"]["max"], rows["price"]["mean"]) == (
        "1.0",
        "7.0",
        4.0,
    )
    assert rows["price"]["stddev"] == pytest.approx(
        np.std([1, 2, 3, 4, 5, 6, 7], ddof=1)
    )
    assert rows["price"]["median"] == "4.0"
    assert rows["day"]["min"].startswith("2026-01-01")
    assert text.startswith(
        "t: 8 rows × 5 columns; no duplicate rows; candidate keys: id, day"
    )
    assert (
        "- kind: VARCHAR; 1 null (12.5%); 3 distinct; most frequent: a 50.0%, b 25.0%, c 12.5%"
        in text
    )
    assert "≈" not in text


async def test_duplicates_and_keys_of_two_columns_are_found(runner: SqlRunner):
    """A pair that tells rows apart; whole rows that come twice."""
    pairs = pd.DataFrame(
        [(a, b) for a in range(5) for b in range(4)], columns=["a", "b"]
    )
    _, content, _ = await profiled(runner, pairs)
    assert content["candidate_keys"] == [["a", "b"]]
    text, content, _ = await profiled(runner, pd.concat([pairs, pairs.head(3)]))
    assert content["duplicate_rows"] == 3
    assert "3 duplicate rows; no candidate key of one or two columns" in text


async def test_every_type_is_profiled(runner: SqlRunner):
    """Decimals, dates, times, zones, durations, bytes, lists, structs, categories, all
    null, none.
    """
    table = pa.table(
        {
            "d": pa.array([decimal.Decimal("1.10"), None], pa.decimal128(10, 2)),
            "day": pa.array([dt.date(2026, 1, 2), None]),
            "time": pa.array([dt.time(1, 2), None]),
            "stamp": pa.array(
                [dt.datetime(2026, 1, 2, tzinfo=dt.UTC), None],
                pa.timestamp("us", "UTC"),
            ),
            "span": pa.array([dt.timedelta(1), None]),
            "bytes": pa.array([b"x", None]),
            "list": [[1], None],
            "texts": [["a"], None],
            "struct": [{"a": 1}, None],
            "kind": pa.array(["x", None]).dictionary_encode(),
            "none": pa.array([None, None], pa.int32()),
            "odd \"name'": ["a", "b"],
            "inf": [float("inf"), float("nan")],
        }
    )
    _, content, rows = await profiled(runner, table)
    assert len(rows) == 13
    assert rows["d"]["min"] == "1.10"
    assert rows["none"]["nulls"] == 2
    assert content["candidate_keys"] == [["odd \"name'"], ["inf"]]
    _, content, _ = await profiled(runner, table.slice(0, 0))
    assert (content["table_rows"], content["candidate_keys"]) == (0, [])


async def test_a_wide_table_still_fits_a_model(runner: SqlRunner):
    """About 900 tokens, whatever the columns are; what is left out is said."""
    frame = pd.DataFrame(
        {
            f"a rather long column name {n}": [f"value {i} {n}" for i in range(50)]
            for n in range(200)
        }
    )
    text, content, _ = await profiled(runner, frame)
    assert len(text.encode()) <= TEXT_BYTES
    assert "more columns" in text
    assert "only the first 60 of 200 columns are counted" in text
    assert content["row_count"] == 60


async def test_estimates_of_a_large_table_are_marked(runner: SqlRunner):
    """Above a million rows distinct values are estimated; a key is proven all the same."""
    rows = 1_000_001
    text, content, columns = await profiled(
        runner, pd.DataFrame({"id": np.arange(rows), "x": np.arange(rows) % 1000})
    )
    assert content["candidate_keys"] == [["id"]]
    assert columns["id"]["distinct"] == rows
    assert not columns["x"]["distinct_is_exact"]
    assert columns["x"]["distinct"] == pytest.approx(1000, rel=0.1)
    assert "≈" in text
    assert "note: ≈ marks estimates" in text


async def test_a_masked_column_tells_counts_and_no_values(runner: SqlRunner):
    """Nulls and distinct values only."""
    frame = pd.DataFrame({"id": [1, 2, 3], "pin": [777001, 777002, None]})
    text, _, rows = await profiled(runner, frame, mask=lambda: ["pin"])
    assert "pin: VARCHAR; 1 null (33.3%); 2 distinct; masked: no values" in text
    assert "777" not in text + str(rows)
    assert rows["pin"]["masked"]


@pytest.mark.slow
async def test_what_does_not_fit_the_deadline_is_left_out_with_a_note(
    runner: SqlRunner,
):
    """The columns come, the costly rest is named as not counted."""
    rng = np.random.default_rng(7)
    frame = pd.DataFrame(
        {f"c{n}": rng.integers(0, 1 << 60, 900_000) for n in range(12)}
    )
    await runner.start()
    server = build_notebook_server(
        Notebook(t=frame).catalog, runner=runner, timeout=0.3
    )
    async with Client(server) as client:
        result = await client.call_tool("profile_table", {"table": "t"})
    text = result.content[0].text
    assert result.is_error or "note: not everything was counted" in text
