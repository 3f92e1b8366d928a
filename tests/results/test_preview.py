"""The preview says what a table is, within a budget, the same every time, and never a
masked value.
"""

import datetime as dt
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_notebook.results.model_preview import MAX_BYTES, preview

BYTES_A_TOKEN = 2.2
SECRET = "ann@example.org"


def sales(rows: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": range(rows),
            "big": [2**53 + n for n in range(rows)],
            "price": [n / 7 if n % 7 else None for n in range(rows)],
            "code": [f"{n:05}" for n in range(rows)],
            "day": pd.to_datetime(
                [dt.date(2024, 1, 1) + dt.timedelta(days=n % 500) for n in range(rows)]
            ),
            "at": pd.to_datetime(
                [
                    dt.datetime(2024, 1, 1) + dt.timedelta(seconds=37 * n)
                    for n in range(rows)
                ]
            ),
            "region": [
                ("north", "south", "east", "a very, long name")[n % 4]
                for n in range(rows)
            ],
            "note": [
                None
                if n % 5 == 0
                else f'note {n} "quoted",\n and a long tail of words {n * 7919}'
                for n in range(rows)
            ],
        }
    )


def test_it_says_name_shape_columns_and_rows() -> None:
    text = preview(
        pa.table({"id": [1, 2, 3], "name": ["a", "", None]}), "people", rows=3
    )
    assert text == (
        "people: 3 rows × 2 columns; query it by that name\n"
        "columns:\n"
        "- id int64; 1 to 3; 3 distinct: 1 1, 2 1, 3 1\n"
        '- name text; 1 null; 2 distinct: "" 1, a 1\n'
        "all 3 rows as CSV:\n"
        "id,name\n"
        "1,a\n"
        '2,""\n'
        "3,"
    )


@pytest.mark.parametrize("rows", [10, 1_000, 30_000])
@pytest.mark.parametrize("arrow", [True, False])
def test_ten_rows_of_eight_columns_take_at_most_900_tokens_whatever_the_row_count(
    rows: int, arrow: bool
) -> None:
    frame = sales(rows)
    text = preview(pa.Table.from_pandas(frame) if arrow else frame, "sales", rows=10)
    assert len(text.encode()) / BYTES_A_TOKEN <= 900
    assert text.count("\n") >= 20
    assert "9007199254740993" in text


def test_a_frame_and_its_arrow_table_look_the_same() -> None:
    frame = sales(300)
    assert preview(frame, "t") == preview(pa.Table.from_pandas(frame), "t")


def test_the_same_table_gives_the_same_text() -> None:
    frame = sales(25_000)
    assert preview(frame, "t", rows=10) == preview(frame.copy(), "t", rows=10)


def test_what_comes_from_a_sample_says_so() -> None:
    text = preview(sales(30_000), "t")
    assert "4+ distinct: " in text
    assert "≈25%" in text
    assert "- id int64; 0 to 29999; ≈ all distinct" in text
    assert "6,000 null" in text  # nulls and ranges are of all rows


@pytest.mark.parametrize("rows", [3, 30_000])
@pytest.mark.parametrize("arrow", [True, False])
def test_a_masked_column_shows_no_value_range_or_frequent_value(
    rows: int, arrow: bool
) -> None:
    frame = pd.DataFrame(
        {"Email": [SECRET] * rows, "salary": [77777] * rows, "id": range(rows)}
    )
    text = preview(
        pa.Table.from_pandas(frame) if arrow else frame, "t", mask=["email", "SAL*"]
    )
    assert SECRET not in text
    assert "77777" not in text
    assert "- Email text; masked" in text
    assert "***,***,0" in text


def test_a_masked_name_inside_nested_values_is_hidden_too() -> None:
    struct = pa.table({"who": [{"email": SECRET, "id": 1}]})
    json_text = pa.array([f'{{"email": "{SECRET}"}}'], pa.string())
    json_table = pa.table(
        {"who": pa.ExtensionArray.from_storage(pa.json_(pa.string()), json_text)}
    )
    frame = pd.DataFrame(
        {"who": [[{"deep": {"email": SECRET}}], {"email": SECRET}, "x"]}
    )
    for data in (struct, json_table, frame):
        text = preview(data, "t", mask=["email"])
        assert SECRET not in text
        assert "***" in text


def test_control_and_bidi_characters_are_written_out() -> None:
    text = preview(
        pa.table({"a\u202e\nb": ["x\x1b[31m\u200b\U000e0041", "line\nbreak"]}),
        "t\r\n",
        notes=["n\u2066"],
    )
    assert not [
        c
        for c in text
        if c != "\n" and (ord(c) < 32 or c in "\u202e\u200b\u2066\U000e0041")
    ]
    assert "x\\x1b[31m\\u200b\\U000e0041" in text
    assert "line\\nbreak" in text
    assert text.startswith("t\\r\\n: 2 rows")


@pytest.mark.parametrize("limit", [200, 1_000, None])
@pytest.mark.parametrize("columns", [1, 60, 200, 5_000])
def test_the_byte_cap_holds_for_wide_tables_and_huge_cells(
    columns: int, limit: int | None
) -> None:
    values = pa.array(["é" * 20_000] * 12)
    table = pa.table({f"a_rather_long_column_name_{n}": values for n in range(columns)})
    text = preview(table, "wide", rows=10, max_bytes=limit)
    assert len(text.encode()) <= (limit or MAX_BYTES)
    assert text.startswith(f"wide: 12 rows × {columns:,} column")


def test_what_is_left_out_of_a_wide_table_is_said() -> None:
    text = preview(pa.table({f"column_{n}": [1] for n in range(2_000)}), "wide")
    assert "2,000 columns int64: column_0 … column_1999" in text
    assert "describe_table tells of each column" in text


def test_more_rows_are_shown_when_asked_for() -> None:
    text = preview(sales(500), "t", rows=100)
    assert "first 100 rows as CSV:" in text
    assert text.count("\n00") == 0
    assert text.rsplit("\n", 1)[-1].startswith("99,")


def test_notes_and_a_cut_stand_at_the_top() -> None:
    text = preview(
        pa.table({"a": [1]}),
        "t",
        notes=["`a` is in UTC"] * 12,
        truncated="showing first 1 of 9",
    )
    lines = text.splitlines()
    assert lines[1] == "incomplete: showing first 1 of 9"
    assert lines[2] == "note: `a` is in UTC"
    assert "note: and 4 more notes" in lines


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    __hash__ = None  # type: ignore[assignment]


def test_objects_without_hash_or_repr_are_survived() -> None:
    frame = pd.DataFrame(
        {
            "mixed": [Hostile(), {1}, [1, "x"], None, 2**200],
            "when": [dt.time(1), dt.timedelta(1), 1j, b"\x00", "x"],
        }
    )
    text = preview(frame, "t")
    assert "<Hostile>" in text
    assert "an integer of 201 bits" in text
    assert "0x00" in text


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (pa.array([Decimal("1.50"), None]), "decimal(3,2); 1 null; all 1.50"),
        (
            pa.array([dt.date(2024, 1, 1), dt.date(2024, 1, 3)]),
            "date; 2024-01-01 to 2024-01-03",
        ),
        (
            pa.array([dt.datetime(2024, 1, 1)], pa.timestamp("us", "UTC")),
            "timestamp UTC; all 2024-01-01 00:00:00Z",
        ),
        (pa.array([True, False, True]), "bool; 2 distinct: true 2, false 1"),
        (pa.array([[1, 2]]), "list of int64"),
        (pa.array([{"x": 1}]), "struct(x)"),
        (pa.array([b"\x00\xff"]), "binary"),
        (pa.nulls(2), "null; all null"),
        (pa.array(["a", "a"]).dictionary_encode(), "text; 1 distinct: a 2"),
        (pa.array([float("nan"), 1.0]), "float64; all 1.0"),
        (
            pa.array([dt.timedelta(hours=36)]),
            'duration; 1 distinct: "1 day, 12:00:00" 1',
        ),
    ],
)
def test_each_type_is_named_and_ranged(values: pa.Array, words: str) -> None:
    assert f"- c {words}" in preview(pa.table({"c": values}), "t")


@pytest.mark.parametrize(
    "data",
    [
        pa.table({}),
        pd.DataFrame(),
        pd.DataFrame({"a": []}),
        pa.table({"a": pa.array([], pa.int64())}),
    ],
)
def test_an_empty_table_has_a_preview(data: object) -> None:
    assert preview(data, "t").startswith("t: 0 rows")


def test_repeated_and_odd_column_labels_are_survived() -> None:
    frame = pd.DataFrame([[1, 2, 3]], columns=pd.Index(["a", "a", 7], dtype=object))
    text = preview(frame, "t")
    assert "a,a_2,7\n1,2,3" in text
    assert "- x_y int64" in preview(
        pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("x", "y")])), "t"
    )


def test_pandas_extension_types_are_survived() -> None:
    frame = pd.DataFrame(
        {
            "period": pd.period_range("2024-01", periods=2, freq="M"),
            "interval": pd.interval_range(0, 2),
            "category": pd.Categorical(["a", "b"]),
            "nullable": pd.array([1, None], "Int64"),
            "sparse": pd.arrays.SparseArray([0, 1]),
            "zoned": pd.to_datetime(["2024-01-01", "2024-01-02"]).tz_localize(
                "Europe/Paris"
            ),
        }
    )
    text = preview(frame, "t")
    assert '2024-01,"(0, 1]",a,1,0,' in text
    assert "- nullable int64; 1 null; all 1" in text
    assert "timestamp Europe/Paris" in text


KINDS = {
    "number": lambda n: n * 7919,
    "decimal": lambda n: Decimal(n) / 8,
    "text": lambda n: f"word {n % 7}",
    "long": lambda n: f"é{n} and many more words, " * 200,
    "nested": lambda n: {"city": f"c{n}", "tags": [n, n + 1], "deep": {"x": [1] * 50}},
    "day": lambda n: dt.date(2024, 1, 1) + dt.timedelta(days=n % 900),
    "null": lambda n: None,
}
LABELS = ("sensor_{0}", "c{0}", "{1}_{0}_of_the_station_in_the_north", '{1}{0}é, "q"')


def made(columns: int, rows: int, kinds: list[str], label: str) -> pa.Table:
    used = [kinds[at % len(kinds)] for at in range(columns)]
    values = {k: pa.array([KINDS[k](n) for n in range(rows)]) for k in set(used)}
    names = [label.format(at, used[at]) for at in range(columns)]
    return pa.table([values[kind] for kind in used], names)


@pytest.mark.slow
@given(
    columns=st.sampled_from([2, 3, 8, 12, 30, 61, 120, 300]),
    rows=st.sampled_from([0, 1, 2, 5, 6, 11, 40, 700]),
    kinds=st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=4),
    label=st.sampled_from(LABELS),
    notes=st.integers(0, 9),
)
def test_900_tokens_hold_for_any_shape(columns, rows, kinds, label, notes) -> None:
    table = made(columns, rows, kinds, label)
    said = ["a note of some length on how the values were read"] * notes
    text = preview(table, "t", whole=True, notes=said)
    assert len(text.encode()) <= 900 * BYTES_A_TOKEN
    assert text.startswith(f"t: {rows:,} row")
    lines = text.splitlines()
    assert "columns:" in lines
    head = lines[: lines.index("columns:")]
    assert any("it is empty" in line for line in head) == (rows == 0)
    nothing = rows > 0 and set(kinds[:columns]) == {"null"}
    assert any("every value is NULL" in line for line in head) == nothing
    told = [line for line in lines if line.startswith("- ")]
    assert told
    if rows and columns <= 3 and "long" not in kinds and "nested" not in kinds:
        assert f"all {rows} rows as CSV:" in lines or rows in (1, 700, 40)


@pytest.mark.parametrize("columns", [2, 300])
@pytest.mark.parametrize("kind", ["number", "text"])
def test_900_tokens_hold_for_a_hundred_thousand_rows(columns: int, kind: str) -> None:
    one = pa.array([KINDS[kind](n) for n in range(100_000)])
    table = pa.table([one] * columns, [f"c{n}" for n in range(columns)])
    text = preview(table, "t", whole=True)
    assert len(text.encode()) <= 900 * BYTES_A_TOKEN
    assert text.startswith("t: 100,000 rows")


def test_all_rows_of_a_small_table_are_shown() -> None:
    months = [f"2026-{n:02}" for n in range(1, 12)]
    table = pa.table({"month": months, "revenue": [59288.31 + n for n in range(11)]})
    text = preview(table, "t", whole=True)
    assert "all 11 rows as CSV:" in text
    for n, month in enumerate(months):
        assert f"{month},{59288.31 + n}" in text.splitlines()
    assert "first 5 rows as CSV:" in preview(table, "t")


def test_rows_that_the_budget_does_not_grant_are_not_shown() -> None:
    asked: list[int] = []

    def grant(wanted: int) -> int:
        asked.append(wanted)
        return 2

    text = preview(pa.table({"n": range(100, 111)}), "t", whole=True, grant=grant)
    assert asked == [11]
    assert text.endswith("first 2 rows as CSV:\nn\n100\n101")


def test_names_without_a_number_in_them_are_told_by_type() -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    names = [f"{a}{b}" for a in letters for b in letters[:12]]
    kinds = [pa.array(["x"]), pa.array([1])]
    table = pa.table([kinds[at % 2] for at in range(len(names))], names)
    text = preview(table, "t", whole=True)
    assert "- 156 columns text: aa, ac, " in text
    assert "more columns" in text
    assert len(text.encode()) <= MAX_BYTES
