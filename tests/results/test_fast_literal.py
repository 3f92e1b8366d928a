"""The fast path for Python literals gives exactly what the exact path gives, or None."""

import datetime as dt
from collections.abc import Callable, Iterator
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_notebook.results.columns import fast_columns, infer
from mcp_notebook.results.values import fast_literal, literal


@pytest.fixture(autouse=True, scope="module")
def no_size_is_small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fast_literal, "SMALL", 0)
        patch.setattr(fast_columns, "SMALL", 0)
        # so that a few rows make many blocks
        patch.setattr(fast_literal, "_BLOCK", 200)
        yield


def same_as_exact(
    text: str,
    fast_path: Callable = fast_literal.read_table,
    exact: Callable = literal.loads,
) -> bool:
    """Whether the fast path took the text; what it gave is compared with the exact path."""
    found = fast_path(text)
    if found is None:
        return False
    rows = exact(text)
    assert isinstance(rows, list | tuple)
    records = isinstance(rows[0], dict)
    assert found.column_names == (list(rows[0]) if records else [""] * len(rows[0]))
    columns = zip(*(row.values() if records else row for row in rows), strict=True)
    for fast, values in zip(found.columns, columns, strict=True):
        want = infer.column(list(values), text="numbers")
        have = fast_columns.column_of_texts(fast, text="numbers")
        assert have.array.type == want.array.type
        assert have.array.equals(want.array) or repr(have.array.to_pylist()) == repr(
            want.array.to_pylist()
        )
        assert have.note == want.note
    return True


TEXTS = st.one_of(
    st.text(max_size=10),
    st.sampled_from(
        [
            "it's",
            '"',
            'it\'s "x"',
            "), (",
            "}, {",
            ", 'a': ",
            "\\",
            "N",
            "S",
            "None",
            "1",
            "d2024-01-01",
            "''",
            "\0",
            "\n",
        ]
    ),
)
KINDS = [
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-(2**80), 2**80),
    st.floats(),
    st.one_of(st.integers(-(2**60), 2**60), st.floats(-1e9, 1e9)),
    st.booleans(),
    TEXTS,
    st.decimals(
        allow_nan=False,
        allow_infinity=False,
        places=3,
        min_value=-(10**9),
        max_value=10**9,
    ),
    st.decimals(min_value=-100, max_value=100),
    st.dates(),
    st.datetimes(),
    st.datetimes(
        timezones=st.sampled_from([dt.UTC, dt.timezone(dt.timedelta(hours=2))])
    ),
    st.uuids(),
    st.one_of(st.integers(), TEXTS),
    st.one_of(st.dates(), TEXTS),
    st.binary(max_size=3),
    st.lists(st.integers(), max_size=2),
    st.none(),
]
KEYS = st.sampled_from(["id", "a", "b c", "it's", "größe", "), (", "N"])


@st.composite
def rows(draw: st.DrawFn) -> list:
    names = draw(st.lists(KEYS, min_size=1, max_size=5, unique=True))
    columns = [st.one_of(draw(st.sampled_from(KINDS)), st.none()) for _ in names]
    found = draw(st.lists(st.tuples(*columns), min_size=1, max_size=20))
    form = draw(
        st.sampled_from([tuple, list, lambda row: dict(zip(names, row, strict=True))])
    )
    return [form(row) for row in found]


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@given(rows())
def test_any_rows_are_the_same_or_left_alone(value: list) -> None:
    same_as_exact(repr(value))


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(rows(), st.data())
def test_a_damaged_text_is_the_same_or_left_alone(
    value: list, data: st.DataObject
) -> None:
    text = repr(value)
    at = data.draw(st.integers(0, len(text) - 1))
    damage = data.draw(
        st.sampled_from(
            [
                "'",
                '"',
                ",",
                "(",
                ")",
                " ",
                "0",
                "_",
                ".5",
                "e5",
                "None",
                "\\",
                "b",
                "",
                ":",
                "N",
            ]
        )
    )
    text = text[:at] + damage + text[at + data.draw(st.integers(0, 2)) :]
    try:
        literal.loads(text)
    except ValueError:
        assert fast_literal.read_table(text) is None
    else:
        try:
            same_as_exact(text)
        except (TypeError, AttributeError, ValueError) as error:
            # the damaged value is no list of rows any more
            raise AssertionError(text) from error


@pytest.mark.parametrize(
    "text", ["[(None,), (0)]", "[(1,), (2), (3,)]", "[('a',), ('b')]"]
)
def test_a_value_in_brackets_is_no_tuple(text: str) -> None:
    assert fast_literal.read_table(text) is None


def test_a_line_end_on_the_edge_of_a_block_is_left_to_the_exact_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = repr([("ab\r\ncd", 1)] * 3)
    found = []
    for size in range(8, 40):
        monkeypatch.setattr(fast_literal, "_MAX_READ", size)
        monkeypatch.setattr(fast_literal, "_BLOCK", 4)
        found.append(same_as_exact(text))
    assert True in found
    assert False in found


DAY = dt.datetime(2024, 1, 1)
KEYED = "abcdefghij"
REST = (DAY.replace(tzinfo=dt.UTC), UUID(int=7), None)
PLAIN = [
    (
        n,
        n / 7,
        None if n % 3 else f"it's {n}\n",
        True,
        Decimal(n) / 4,
        DAY.date(),
        DAY.replace(hour=n % 24),
        *REST,
    )
    for n in range(100)
]


@pytest.mark.parametrize(
    "form", [tuple, list, lambda row: dict(zip(KEYED, row, strict=True))]
)
def test_plain_rows_of_every_kind_are_taken(form) -> None:
    assert same_as_exact(repr([form(row) for row in PLAIN]))
    assert same_as_exact(repr(tuple(form(row) for row in PLAIN)))


def test_rows_of_one_value_are_taken() -> None:
    assert same_as_exact("[(1,), (2,)]")
    assert same_as_exact("[('a',), (None,)]")


def test_a_string_that_holds_a_key_or_a_row_end_changes_nothing() -> None:
    rows = [{"a": "it's, 'b': 1}, {'a': 2", "b": 1}, {"a": "x", "b": 2}]
    assert fast_literal.read_table(repr(rows)) is None or same_as_exact(repr(rows))
    assert same_as_exact(repr([("it's), ('x", 1), ("), (", 2)] * 50))


def test_a_uuid_that_is_none_stays_its_source_text() -> None:
    good = "e3e70682-c209-4cac-629f-6fbed82c07cd"
    same_as_exact(
        f"[(UUID('{good}'),), (UUID('f728b4fa-4248-5e3a-0a5d02f346baa9455'),)]"
    )
