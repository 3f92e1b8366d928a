"""A value is one text, whoever shows it; nothing that Arrow can hold makes anyone raise."""

import csv
import datetime as dt
import html
import re
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mcp_notebook
from mcp_notebook.agent.sealing import seal_result
from mcp_notebook.display.card import _CELL as OF_HTML
from mcp_notebook.display.card import _table_html as table_html
from mcp_notebook.display.tables import Whole, view_tables
from mcp_notebook.events import ToolResult
from mcp_notebook.freeze.fingerprint import fingerprint
from mcp_notebook.results import Reading, Table
from mcp_notebook.results.frames import to_frame
from mcp_notebook.results.model_preview import preview
from mcp_notebook.sharing.answer import TableAnswer, as_answer, structured_content
from mcp_notebook.sharing.arrow import snapshot, to_arrow
from mcp_notebook.sharing.masks import Masks
from mcp_notebook.values import (
    KINDS,
    OTHER,
    clip,
    column_texts,
    column_values,
    plain_column,
    plain_type,
    type_name,
    value_kind,
    value_text,
)

WIDTHS = (80, 48, 32, 24, 16, 12)


def chunked(values: list, type_: pa.DataType) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, type_)])


def of_numbers(values: list[int | None], type_: pa.DataType) -> pa.Array:
    """An array by the numbers that Arrow keeps: Python cannot say all that it holds."""
    wide = type_.bit_width == 64
    bits = 64 if wide else 32
    kept = [
        v if v is None else (v + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)
        for v in values
    ]
    return pa.array(kept, pa.int64() if wide else pa.int32()).view(type_)


def uuids(values: list[bytes | None]) -> pa.Array:
    return pa.ExtensionArray.from_storage(pa.uuid(), pa.array(values, pa.binary(16)))


_NUMBERED = [
    pa.date32(), pa.date64(), pa.timestamp("s"), pa.timestamp("ms", "UTC"),
    pa.timestamp("us"), pa.timestamp("us", "Europe/Berlin"), pa.timestamp("ns", "+02:00"),
    pa.duration("s"), pa.duration("us"), pa.duration("ns"),
]  # fmt: skip
_DECIMALS = [
    pa.decimal32(7, 2), pa.decimal64(15, 3), pa.decimal128(38, 0), pa.decimal256(60, 20)
]  # fmt: skip
_TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)


def _lists(values: st.SearchStrategy, type_: pa.DataType) -> st.SearchStrategy:
    return st.lists(st.none() | values, max_size=6).map(lambda v: pa.array(v, type_))


def _numbered(type_: pa.DataType) -> st.SearchStrategy:
    numbers = st.integers(-(2**63), 2**63 - 1) | st.integers(-(10**6), 10**6)
    return st.lists(st.none() | numbers, max_size=6).map(lambda v: of_numbers(v, type_))


def _decimals(type_: pa.DataType) -> st.SearchStrategy:
    most = 10**type_.precision - 1
    digits = st.integers(-most, most)
    exact = digits.map(lambda d: Decimal(d).scaleb(-type_.scale, context=_WIDE))
    return _lists(exact, type_)


_MOST = 2**31 - 1
_INTERVALS = st.tuples(
    st.integers(-_MOST, _MOST), st.integers(-_MOST, _MOST), st.integers(-(10**15), 10**15)
)  # fmt: skip
_VIEWS = (pa.string_view().id, pa.binary_view().id)
_WIDE = __import__("decimal").Context(prec=100)
_SIMPLE = [
    _lists(st.booleans(), pa.bool_()),
    _lists(st.integers(-(2**63), 2**63 - 1), pa.int64()),
    _lists(st.integers(0, 2**64 - 1), pa.uint64()),
    _lists(st.integers(-128, 127), pa.int8()),
    _lists(st.floats(), pa.float64()),
    _lists(st.floats(width=32), pa.float32()),
    _lists(st.floats(width=16), pa.float16()),
    _lists(_TEXTS, pa.string()),
    _lists(_TEXTS, pa.large_string()),
    _lists(_TEXTS, pa.string_view()),
    _lists(st.binary(max_size=60), pa.binary()),
    _lists(st.binary(max_size=60), pa.binary_view()),
    _lists(st.binary(min_size=4, max_size=4), pa.binary(4)),
    _lists(st.times(), pa.time64("us")),
    _lists(st.times(), pa.time32("s")),
    st.lists(st.none() | st.binary(min_size=16, max_size=16), max_size=6).map(uuids),
    *map(_numbered, _NUMBERED),
    *map(_decimals, _DECIMALS),
    _lists(_INTERVALS, pa.month_day_nano_interval()),
    st.integers(0, 4).map(pa.nulls),
]
_FLAT = st.one_of(*_SIMPLE)


def _within(flat: pa.Array) -> list[pa.Array]:
    """Columns that hold the values of another in lists, structures, maps, a dictionary."""
    size = len(flat)
    offsets = pa.array(range(size + 1), pa.int32())
    names = pa.array([f"k{n}" for n in range(size)])
    return [
        pa.ListArray.from_arrays(offsets, flat),
        pa.LargeListArray.from_arrays(offsets.cast(pa.int64()), flat),
        pa.StructArray.from_arrays([flat, flat], names=["a", "email"]),
        pa.StructArray.from_arrays([flat, flat], names=["same", "same"]),
        pa.MapArray.from_arrays(offsets, names, flat),
        pa.DictionaryArray.from_arrays(pa.array(range(size), pa.int32()), flat),
        pa.ListViewArray.from_arrays(
            offsets.slice(0, size), pa.array([1] * size, pa.int32()), flat
        ),
    ]


@st.composite
def columns(draw, views: bool = True) -> pa.Array:
    """`views`: with views inside lists and structures, of which Arrow takes no rows."""
    flat = draw(_FLAT)
    if views or flat.type.id not in _VIEWS:
        within = _within(flat)
        return draw(st.sampled_from([flat, flat, *(within if views else within[:-1])]))
    return flat


def table_of(column: pa.Array) -> pa.Table:
    return pa.table({"c": column})


def cells_of_html(view) -> list[str]:
    body = table_html(view).partition("<tbody>")[2]
    cells = re.findall(r"<td[^>]*>(.*?)</td>", body, re.S)
    return [html.unescape(re.sub(r"</?(?:span|i)[^>]*>", "", cell)) for cell in cells]


def cells_of_preview(text: str) -> list[str]:
    lines = text.split("\n")
    start = next((n for n, s in enumerate(lines) if s.endswith("as CSV:")), len(lines))
    return ["".join(row) for row in csv.reader(lines[start + 2 :])]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(columns())
def test_a_value_is_the_same_text_for_claude_and_on_every_form_of_the_card(column):
    data = table_of(column)
    texts = column_texts(data["c"])
    (view,) = view_tables((Table(data=data),), ("t",))
    assert [row[0] for row in view.rows] == texts
    assert Whole(data, {}).explorer.page({})["rows"] == [(text,) for text in texts]
    whole = ["NULL" if text is None else text for text in texts[:10]]
    assert cells_of_html(view) == [clip(text, OF_HTML) for text in whole]
    told = cells_of_preview(preview(data, "t", rows=10)) if len(data) else []
    assert len(told) == len(texts)
    for cell, text in zip(told, texts, strict=True):
        assert cell in {clip(text or "", width) for width in WIDTHS}


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(columns(views=False))
def test_a_column_of_any_kind_is_hashed_compared_masked_sealed_sorted_and_framed(
    column,
):
    data = table_of(column)
    frame = to_frame(Table(data=data), attrs={})
    again = frame.iloc[::-1]
    assert mcp_notebook.compare(frame, again).same
    print_of_frame, print_of_again = str(fingerprint(frame)), str(fingerprint(again))
    assert print_of_frame == print_of_again
    masked = Masks(("c",)).apply(data, "t")
    nulls = column_texts(data["c"]).count(None)
    assert masked["c"].null_count == nulls
    Masks(("email",)).apply(data, "t")
    assert "*" in preview(data, "t", mask=["c"]) or not len(data)
    preview(frame, "t")
    by, down = [[0, False]], [[0, True]]
    for question in ({"order": by}, {"find": "a"}, {"order": down, "find": "1"}):
        answer = Whole(data, {}).explorer.page(question)
        assert answer is not None
        assert "wrong" not in answer
    reading = Reading(tables=(Table(data=data),))
    seal_result(ToolResult("id", "ok", "", 0.0, reading=reading))
    assert plain_column(data["c"]).type == plain_type(column.type)
    assert type_name(column.type)
    to_arrow(snapshot(data))


def told(column: pa.Array) -> str:
    """The first cell as Claude reads it."""
    return cells_of_preview(preview(table_of(column), "t"))[0]


def on_card(column: pa.Array) -> str | None:
    (view,) = view_tables((Table(data=table_of(column)),), ("t",))
    return view.rows[0][0]


@pytest.mark.parametrize(
    ("column", "text"),
    [
        (pa.array([123456789.12]), "123456789.12"),
        (pa.array([0.1], pa.float16()), "0.1"),
        (pa.array([dt.timedelta(hours=1)]), "1:00:00"),
        (pa.array([-1500], pa.duration("ms")), "-0:00:01.5"),
        (pa.array([253402300800], pa.timestamp("s")), "10000-01-01 00:00:00"),
        (pa.array([2**62], pa.timestamp("s", "Mars/Base")), None),
        (of_numbers([2932897], pa.date32()), "10000-01-01"),
        (of_numbers([-719529], pa.date32()), "-0001-12-31"),
        (pa.array(["a\u2800\ufe01"], pa.string_view()), "a\\u2800\\ufe01"),
        (pa.array([b"\x01"], pa.binary_view()), "0x01"),
        (uuids([bytes(range(16))]), "00010203-0405-0607-0809-0a0b0c0d0e0f"),
        (pa.array([[253402300800]], pa.list_(pa.timestamp("s"))), '["10000-01-01 00:00:00"]'),
        (pa.array([dt.datetime(2026, 6, 1, tzinfo=dt.UTC)], pa.timestamp("us", "Asia/Tokyo")),
         "2026-06-01 09:00:00+09:00"),
        (pa.array([Decimal("0E-10")]), "0.0000000000"),
    ],
)  # fmt: skip
def test_claude_and_the_card_say_the_same_of_what_they_once_said_differently(
    column, text
):
    assert told(column) == on_card(column)
    assert text is None or on_card(column) == text


def test_a_python_object_reads_like_the_same_value_in_a_column():
    values = [
        1, 2.5, True, "x\n", b"\x00", Decimal("1.50"), dt.date(2026, 1, 2),
        dt.datetime(2026, 1, 2, 3, 4, 5, 600000), dt.time(1, 2), dt.timedelta(days=2),
        [1, None, {"a": "b"}], {"k": dt.date(2026, 1, 2), "l": [1.5]},
    ]  # fmt: skip
    for value in values:
        if not isinstance(value, list):  # of several kinds: Arrow has no such column
            assert value_text(value) == value_text(pa.array([value])[0])
    assert value_text(values[-2]) == '[1, null, {"a": "b"}]'
    assert (
        value_text(pd.Timestamp("2026-01-02 03:04:05.000000006"))
        == "2026-01-02 03:04:05.000000006"
    )
    assert (
        value_text(pd.Timedelta("1 days 00:00:00.000000006"))
        == "1 day, 0:00:00.000000006"
    )


def test_every_arrow_type_belongs_to_one_kind():
    numbers = [number for kind in KINDS for number in kind.types]
    assert len(numbers) == len(set(numbers))
    encoded = {"DICTIONARY", "RUN_END_ENCODED"}
    names = [name for name in dir(pa.lib) if name.startswith("Type_")]
    unknown = {name[5:] for name in names if getattr(pa.lib, name) not in numbers}
    assert unknown - encoded == {
        "DENSE_UNION", "INTERVAL_DAY_TIME", "INTERVAL_MONTHS", "SPARSE_UNION",
    }  # fmt: skip
    assert value_kind(pa.sparse_union([])) is OTHER


def test_a_list_longer_than_a_cell_ends_in_an_ellipsis():
    assert value_text([0] * 60)[-1] == "…"


def test_a_year_that_python_has_not_goes_through_an_answer_for_json():
    answer = TableAnswer(
        table_of(pa.array([253402300800], pa.timestamp("s"))), ("TIMESTAMP_S",)
    )
    assert structured_content(as_answer(answer, rows=9, max_bytes=999))["rows"] == [
        ["10000-01-01 00:00:00"]
    ]


SPANS = pa.array(
    [(14, 3, 90_061_500_000_000), None, (0, -1, 0), (0, 0, 0), (-1, 0, -1)],
    pa.month_day_nano_interval(),
)
SPAN_TEXTS = [
    "1 year 2 months 3 days 25:01:01.5", None, "-1 day", "0:00:00", "-1 month -0:00:00.000000001"
]  # fmt: skip


def test_an_interval_is_read_shown_framed_compared_masked_queried_and_shared():
    data = pa.table({"span": SPANS})
    assert column_texts(data["span"]) == SPAN_TEXTS
    assert "- span interval; 1 null" in preview(data, "t")
    frame = to_frame(Table(data=data), attrs={})
    assert [value_text(value) for value in frame.span] == SPAN_TEXTS
    assert mcp_notebook.compare(data, frame).added.empty
    other = pa.table({"span": SPANS.take(pa.array([0, 1, 2, 3, 3]))})
    assert len(mcp_notebook.compare(data, other).added) == 1
    assert mcp_notebook.check(frame, fingerprint=str(fingerprint(frame))).same
    masked = Masks(("span",)).apply(data, "t")["span"].to_pylist()
    assert masked[1] is None
    assert masked[0].startswith("masked:")
    queried = mcp_notebook.sql("select span + interval 1 day as later from t", t=frame)
    assert value_text(queried.later[0]) == "1 year 2 months 4 days 25:01:01.5"
    answer = TableAnswer(data, ("INTERVAL",))
    rows = structured_content(as_answer(answer, rows=9, max_bytes=9_999))["rows"]
    assert rows == [[text] for text in SPAN_TEXTS]


def test_an_interval_inside_a_list_is_its_text_for_json():
    inside = pa.ListArray.from_arrays(pa.array([0, 5], pa.int32()), SPANS)
    assert column_values(pa.chunked_array([inside])) == [SPAN_TEXTS]
