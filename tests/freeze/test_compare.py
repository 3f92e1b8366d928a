"""Tables compared: exact, whatever the order, the dtype and the shape of the values."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mcp_notebook
from mcp_notebook.errors import DataError

compare = mcp_notebook.compare


def frame(**columns) -> pd.DataFrame:
    return pd.DataFrame(columns)


def test_the_order_of_rows_and_of_columns_does_not_count():
    a = frame(x=[1, 2, 2], y=["a", "b", "b"])
    assert compare(a, a.iloc[::-1][["y", "x"]]).same
    assert repr(compare(a, a)) == "the same: 3 rows"


def test_a_row_that_stands_twice_counts_twice():
    found = compare(frame(x=[1, 1, 1, 2]), frame(x=[1, 2, 2]))
    assert found.removed.x.tolist() == [1, 1]
    assert found.added.x.tolist() == [2]
    assert not found.same


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([1, 2], [1.0, 2.0]),
        ([3], [Decimal("3.00")]),
        ([0.5], [Decimal("0.50")]),
        ([0.0], [-0.0]),
        ([2**63 - 1], pd.array([2**63 - 1], dtype="UInt64")),
        ([2**64 - 1], np.array([2**64 - 1], dtype=np.uint64)),
        ([1, None], pd.array([1, None], dtype="Int64")),
        ([None, "a"], pd.array(["", "a"], dtype="str").take([-1, 1], allow_fill=True)),
        (
            pd.to_datetime(["2026-01-02"]).as_unit("s"),
            pd.to_datetime(["2026-01-02"]).as_unit("ns"),
        ),
        (
            pd.to_datetime(["2026-01-02T12:00+02:00"], utc=True),
            pd.to_datetime(["2026-01-02T10:00"])
            .tz_localize("UTC")
            .tz_convert("Asia/Tokyo"),
        ),
        (
            [dt.date(2026, 1, 2)],
            pd.array([dt.date(2026, 1, 2)], dtype=pd.ArrowDtype(pa.date32())),
        ),
        (
            [dt.datetime(1, 1, 1)],
            pd.array([dt.datetime(1, 1, 1)], dtype=pd.ArrowDtype(pa.timestamp("us"))),
        ),
        ([b"\x00"], pd.array([b"\x00"], dtype=pd.ArrowDtype(pa.binary()))),
        ([[1, 2]], pd.array([[1, 2]], dtype=pd.ArrowDtype(pa.list_(pa.int64())))),
        ([{"a": 1, "b": None}], [{"b": None, "a": 1}]),
        (["a"], pd.Categorical(["a"], categories=["b", "a"])),
        ([pd.Timedelta("1s")], [dt.timedelta(seconds=1)]),
        (
            [dt.time(1, 2, 3)],
            pd.array([dt.time(1, 2, 3)], dtype=pd.ArrowDtype(pa.time64("us"))),
        ),
    ],
)
def test_equal_values_are_equal_whatever_holds_them(a, b):
    found = compare(frame(x=a), frame(x=b))
    assert len(found.added) == len(found.removed) == 0


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([1], ["1"]),
        ([1], [True]),
        ([-1], np.array([2**64 - 1], dtype=np.uint64)),
        ([2**53], [2.0**53 + 2]),
        ([10**30], [10**30 + 1]),
        ([Decimal("0.1")], [0.1]),
        ([0.1 + 0.2], [0.3]),
        ([None], [""]),
        (["null"], [None]),
        ([dt.date(2026, 1, 2)], [dt.datetime(2026, 1, 2)]),
        (
            pd.to_datetime(["2026-01-02"]),
            pd.to_datetime(["2026-01-02"]).tz_localize("UTC"),
        ),
        ([[1, 2]], [[2, 1]]),
        ([[1, [2]]], [[1, 2]]),
        ([{"a": 1}], [{"a": 1, "b": None}]),
        ([b"a"], ["a"]),
        (["é"], ["e\u0301"]),
    ],
)
def test_different_values_are_different(a, b):
    found = compare(frame(x=a), frame(x=b))
    assert (len(found.added), len(found.removed)) == (1, 1)


def test_nan_and_null_differ_where_a_column_tells_them_apart():
    both = pd.array(pa.array([float("nan"), None]), dtype=pd.ArrowDtype(pa.float64()))
    nulls = pd.array(
        pa.array([None, None], pa.float64()), dtype=pd.ArrowDtype(pa.float64())
    )
    assert len(compare(frame(x=both), frame(x=nulls)).added) == 1
    assert compare(frame(x=[np.nan]), frame(x=[np.nan])).same


def test_columns_and_types_that_changed_are_named_and_the_rest_is_compared():
    found = compare(frame(a=[1], gone=["x"], t=[1]), frame(a=[1], new=["y"], t=[1.0]))
    assert (found.lost_columns, found.new_columns, found.types) == (
        ("gone",),
        ("new",),
        {"t": ("int64", "float64")},
    )
    assert len(found.added) == 0
    assert not found.same
    assert "columns gone: gone" in repr(found)


def test_with_a_key_changed_rows_are_told_from_new_ones():
    before = frame(id=[1, 2, 3], total=[1.0, 2.0, 3.0], note=["a", None, "c"])
    after = frame(id=[4, 3, 2], total=[9.0, 3.0, 2.5], note=["x", "c", None])
    found = compare(before, after, key="id")
    assert (found.added.id.tolist(), found.removed.id.tolist()) == ([4], [1])
    assert dict(found.cells) == {"total": 1}
    assert found.changed.to_dict("records") == [
        {"id": 2, "total before": 2.0, "total after": 2.5}
    ]
    assert repr(found).splitlines() == [
        "1 row added, 1 removed, 1 changed (3 before, 3 after)",
        "values changed in total (1)",
    ]


def test_a_key_of_several_columns():
    found = compare(
        frame(a=[1, 1], b=[1, 2], v=[1, 2]),
        frame(a=[1, 1], b=[2, 1], v=[2, 7]),
        key=["a", "b"],
    )
    assert found.changed[["a", "b"]].values.tolist() == [[1, 1]]


def test_a_key_that_is_not_unique_or_not_there_is_one_sentence():
    with pytest.raises(DataError, match="not unique in the first table: id=1"):
        compare(frame(id=[1, 1]), frame(id=[1]), key="id")
    with pytest.raises(DataError, match="no column 'nope'"):
        compare(frame(id=[1]), frame(id=[1]), key="nope")


def test_what_is_no_table_is_one_sentence():
    with pytest.raises(DataError, match="second value is a list"):
        compare(frame(a=[1]), [1])


def test_anything_with_arrows_interface_is_a_table():
    assert len(compare(pa.table({"a": [1, 2]}), pa.table({"a": [2, 3]})).added) == 1


def test_repeated_and_odd_column_names():
    a = pd.DataFrame([[1, 2, 3]], columns=["x", "x", ("m", 1)])
    b = pd.DataFrame([[1, 5, 3]], columns=["x", "x", ("m", 1)])
    assert compare(a, a).same
    assert dict(compare(a, b, key="m.1").cells) == {"x#2": 1}


def test_tables_without_rows_or_columns():
    assert compare(pd.DataFrame(), pd.DataFrame()).same
    assert compare(
        frame(a=pd.Series([], dtype="str")), frame(a=pd.Series([], dtype="str"))
    ).same
    assert len(compare(frame(a=pd.Series([], dtype="int64")), frame(a=[1])).added) == 1


def test_the_html_escapes_what_it_shows():
    found = compare(frame(a=["<b>"]), frame(a=["<script>alert(1)</script>"]))
    assert "<script>" not in found._repr_html_()
    assert "&lt;script&gt;" in found._repr_html_()


_CELLS = st.one_of(
    st.none(), st.integers(-(2**70), 2**70), st.floats(allow_nan=True), st.text(max_size=4), st.booleans(),
    st.decimals(allow_nan=False, allow_infinity=False), st.datetimes(), st.dates(), st.binary(max_size=3),
    st.lists(st.integers(0, 2), max_size=2), st.dictionaries(st.text(max_size=1), st.integers(0, 2), max_size=2),
)  # fmt: skip


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(st.lists(_CELLS, max_size=6), st.randoms())
def test_any_values_in_any_order_are_the_same_and_one_more_is_one_more(values, random):
    shuffled = list(values)
    random.shuffle(shuffled)
    a, b = (pd.DataFrame({"x": pd.Series(v, dtype=object)}) for v in (values, shuffled))
    assert compare(a, b).same
    more = pd.DataFrame(
        {"x": pd.Series([*shuffled, "one more, longer than the others"], dtype=object)}
    )
    assert (len(compare(a, more).added), len(compare(a, more).removed)) == (1, 0)
