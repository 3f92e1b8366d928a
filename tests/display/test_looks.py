"""What is looked at of a table is one SQL statement: it gives the rows that are seen, as
pandas does, and a click on a bar gives as many rows as the bar says.
"""

import datetime as dt
import io
import random
from decimal import Decimal
from types import SimpleNamespace

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pytest

from mcp_notebook.display.counts import describe_counts, draw_bars
from mcp_notebook.display.explorer import Explorer
from mcp_notebook.display.tables import Whole

ROWS = 400
_dice = random.Random(7)
DATA = pa.table(
    {
        "id": range(ROWS),
        "select": [
            _dice.choice(["paid", "open", "it's; --", None]) for _ in range(ROWS)
        ],
        'a "b"': [round(_dice.gauss(0, 3), 2) for _ in range(ROWS)],
        "price": [Decimal(_dice.randrange(10**5)).scaleb(-2) for _ in range(ROWS)],
        "day": [
            dt.date(2024, 1, 1) + dt.timedelta(_dice.randrange(300))
            for _ in range(ROWS)
        ],
        "at": pa.array(
            [
                dt.datetime(2024, 1, 1) + dt.timedelta(seconds=_dice.randrange(10**7))
                for _ in range(ROWS)
            ],
            pa.timestamp("us"),
        ),
        "few": [_dice.choice([1, 2, 3, None]) for _ in range(ROWS)],
        "fine": [_dice.choice([True, False]) for _ in range(ROWS)],
    }
)


def explore(data: pa.Table = DATA) -> Explorer:
    return Whole(data, {}).explorer


def places(explorer: Explorer, asked: dict) -> list[int]:
    table = explorer.table(explorer.read_look(asked))
    return table.column("id").to_pylist()


def asked_at_random(dice: random.Random) -> dict:
    filters = [
        {"column": 0, "what": "span", "value": "20", "end": "300", "closed": "left"},
        {"column": 1, "what": "is", "value": "it's; --"},
        {"column": 1, "what": "not", "value": "paid"},
        {"column": 1, "what": "holds", "value": "P"},
        {"column": 1, "what": "null"},
        {"column": 2, "what": "least", "value": "-1.5"},
        {"column": 2, "what": "span", "value": "-1", "end": "2", "closed": "right"},
        {"column": 6, "what": "some"},
        {"column": 6, "what": "below", "value": "3"},
    ]
    order = [[column, dice.random() < 0.5] for column in dice.sample([0, 1, 2, 6], 2)]
    find = dice.choice(["", "", "PAI", "it's"])
    return {
        "filters": dice.sample(filters, dice.randrange(3)),
        "order": order[: dice.randrange(3)],
        "find": find,
    }


@pytest.mark.parametrize("seed", range(30))
def test_the_statement_and_the_lines_of_pandas_give_what_is_seen(seed: int) -> None:
    explorer, asked = explore(), asked_at_random(random.Random(seed))
    code = explorer.code(explorer.read_look(asked), "orders")
    seen = places(explorer, asked)

    with duckdb.connect() as connection:
        connection.register("orders", DATA)
        rows = connection.sql(code["sql"]).fetchall()
    assert sorted(row[0] for row in rows) == sorted(seen)

    # texts without an order of upper and lower case, nullable integers as in the notebook
    frame = DATA.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    space = {"orders": frame}
    exec(code["pandas"], space)
    assert list(space["view"]["id"]) == seen, code["pandas"]
    assert code["cell"] == f"%%mcp_sql notebook\n{code['sql']}"


@pytest.mark.parametrize("column", range(DATA.num_columns))
def test_a_click_on_a_bar_gives_as_many_rows_as_it_says(column: int) -> None:
    explorer = explore()
    (counts,) = explorer.counts(column, 1)
    assert counts.bars
    for bar in counts.bars:
        asked = {"filters": [{"column": column, **bar.filter}]}
        assert len(places(explorer, asked)) == bar.rows, bar
    if counts.spans or counts.distinct == len(counts.bars):
        assert sum(bar.rows for bar in counts.bars) == ROWS - counts.nulls


def test_what_a_column_holds_is_counted_over_all_rows() -> None:
    nulls = [one.nulls for one in explore().counts(0, 8)]
    assert nulls == [column.null_count for column in DATA.columns]
    distinct = [one.distinct for one in explore().counts(0, 8)]
    assert distinct == [len(set(c.drop_null().to_pylist())) for c in DATA.columns]
    low, high = min(DATA["day"].to_pylist()), max(DATA["day"].to_pylist())
    assert explore().counts(4, 1)[0].low == low.isoformat()
    assert explore().counts(4, 1)[0].high == high.isoformat()


@pytest.mark.parametrize(
    "column",
    [
        pa.array([], pa.int64()),
        pa.array([None, None], pa.float64()),
        pa.array([float("nan"), float("inf"), 1.0, 2.0]),
        pa.array([2**63, 0, 5], pa.uint64()),
        pa.array([1e300, -1e300, 0.0]),
        pa.array([dt.date(1, 1, 1), dt.date(9999, 12, 31)]),
        pa.array([10**18, 5], pa.timestamp("s")),
        pa.array([["a"], None, []]),
        pa.array([{"a": 1}, None]),
        pa.array([b"\x00\xff", b""]),
        pa.array([None, None], pa.null()),
        pa.array(["x", "x"]).dictionary_encode(),
        pa.array([1.5, None], pa.float16()),
        pa.array([Decimal("1.00"), Decimal("9.99")], pa.decimal256(50, 2)),
        pa.array([(1, 2, 3), None], pa.month_day_nano_interval()),
        pa.array([dt.time(1, 2), dt.time(3, 4)]),
        pa.array([dt.timedelta(1), None]),
        pa.array(["a\x00b", "\ud7ff", "'"]),
    ],
    ids=lambda column: str(column.type),
)
def test_a_column_of_any_type_is_counted_sorted_searched_and_saved(
    column: pa.Array,
) -> None:
    explorer = explore(pa.table({"c": column}))
    (counts,) = explorer.counts(0, 1)
    assert counts.nulls == column.null_count
    assert isinstance(describe_counts(counts), tuple)
    for asked in ({"order": [[0, True]]}, {"find": "1"}, {"filters": [
        {"column": 0, "what": "null"}]}):  # fmt: skip
        page = explorer.page(asked)
        assert page is not None
        assert "wrong" not in page, page
    look = explorer.read_look({})
    read = pyarrow.csv.read_csv(io.BytesIO(explorer.write_rows(look, "csv")))
    assert read.num_columns == 1


def test_what_a_page_sends_cannot_leave_its_place_in_the_statement() -> None:
    explorer = explore()
    evil = "x') OR 1=1; DROP TABLE t; --"
    for what in ("is", "holds", "least"):
        asked = {"filters": [{"column": 1, "what": what, "value": evil}]}
        page = explorer.page(asked)
        assert page is not None
        assert page["found"] <= ROWS // 2
    assert explorer.page({"find": evil})["found"] == 0  # type: ignore[index]
    odd = {"filters": [{"column": 99, "what": "is"}, {"column": 0, "what": "drop"}, 5]}
    assert explorer.page(odd)["found"] == ROWS  # type: ignore[index]


def test_a_value_that_is_none_is_said_in_a_sentence() -> None:
    asked = {"filters": [{"column": 4, "what": "least", "value": "tomorrow"}]}
    page = explore().page(asked)
    assert page == {"wrong": "day is date: 'tomorrow' is no such value."}


def test_a_cell_is_read_whole() -> None:
    long = "x" * 5_000
    inner = {"a": [{"b": "é"}]}
    table = pa.table({"text": [long], "json": [inner], "float": [0.1 + 0.2]})
    explorer = explore(table)
    texts = [explorer.cell({"row": 0, "column": at})["text"] for at in range(3)]  # type: ignore[index]
    assert texts == [long, '{"a": [{"b": "é"}]}', "0.30000000000000004"]
    assert explorer.cell({"row": 1, "column": 0}) is None


def test_words_of_letters_are_not_looked_for_in_numbers_and_columns_are_found() -> None:
    explorer = explore()
    look = explorer.read_look({"find": "paid"})
    assert look.sought == (1, 4, 5, 7)
    assert explorer.page({"find": "PRI"})["named"] == [[3, "price"]]  # type: ignore[index]


def test_tiny_bars_show_nothing_for_nothing() -> None:
    assert draw_bars([0, 1, 8]) == "\u2007▁█"
    assert draw_bars([]) == ""


def test_only_what_is_seen_is_sent() -> None:
    wide = pa.table({f"c{at}": [at] * 50 for at in range(300)})
    page = explore(wide).page({"left": 280, "width": 20, "count": 5, "columns": True})
    assert page is not None
    assert [len(row) for row in page["rows"]] == [20] * 5
    assert [one["name"] for one in page["columns"]][:2] == ["c280", "c281"]


def test_a_long_file_is_put_beside_the_notebook(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(str(tmp_path))
    monkeypatch.setattr("mcp_notebook.display.explorer.MOST_SENT", 10)
    explorer = explore()
    look = explorer.read_look({"order": [[0, True]]})
    said, buffers = explorer.file(look, "orders", "parquet")
    assert buffers == []
    assert said is not None
    assert "orders.parquet" in said["said"]
    assert pd.read_parquet("orders.parquet")["id"].iloc[0] == ROWS - 1
    assert SimpleNamespace(kind=explorer.file(look, "x", "exe")).kind == (None, [])
