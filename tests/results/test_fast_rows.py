"""The fast path for JSON arrays of rows gives exactly what the exact path gives, or None."""

import json
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_notebook.results.columns import fast_columns
from mcp_notebook.results.values import jsontext, large_lists
from tests.results.test_fast_literal import TEXTS, same_as_exact


@pytest.fixture(autouse=True, scope="module")
def no_size_is_small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large_lists, "SMALL", 0)
        patch.setattr(fast_columns, "SMALL", 0)
        patch.setattr(large_lists, "_BLOCK", 200)  # so that a few rows make many blocks
        yield


JSON_KINDS = [
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-(2**80), 2**80),
    st.floats(),
    st.one_of(st.integers(-(2**60), 2**60), st.floats(-1e9, 1e9)),
    st.booleans(),
    TEXTS,
    st.sampled_from(
        [
            "], [",
            '"',
            '", "',
            "\\",
            "[1, 2]",
            "true",
            "null",
            "\1",
            "\3",
            "],[",
            ', "',
            ',"x',
            "\\n",
            "x, ",
            "\ud800",
        ]
    ),
    st.one_of(st.integers(), TEXTS),
    st.lists(st.integers(), max_size=2),
    st.none(),
]


DAMAGES = ['"', ",", "[", "]", " ", "0", ".50", "e5", "null", "\\", "", "N", "NaN", "\1", "\2", "\3", "\n", '"x', 'x"',
           '",', "], [", "[]", "\\u00e9"]  # fmt: skip


@st.composite
def json_rows(draw: st.DrawFn) -> str:
    width = draw(st.integers(1, 5))
    columns = [
        st.one_of(draw(st.sampled_from(JSON_KINDS)), st.none()) for _ in range(width)
    ]
    rows = draw(st.lists(st.tuples(*columns), min_size=1, max_size=20))
    layout = draw(
        st.sampled_from(
            [{}, {"separators": (",", ":")}, {"ensure_ascii": False}, {"indent": 1}]
        )
    )
    return json.dumps(rows, **layout)


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(json_rows())
def test_any_json_rows_are_the_same_or_left_alone(text: str) -> None:
    same_as_exact(text, large_lists.read_rows, jsontext.loads)


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(json_rows(), st.data())
def test_damaged_json_rows_are_the_same_or_left_alone(
    text: str, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(text) - 1))
    damage = data.draw(st.sampled_from(DAMAGES))
    text = text[:at] + damage + text[at + data.draw(st.integers(0, 2)) :]
    try:
        jsontext.loads(text)
    except ValueError:
        assert large_lists.read_rows(text) is None
    else:
        try:
            same_as_exact(text, large_lists.read_rows, jsontext.loads)
        except (TypeError, AttributeError, ValueError) as error:
            raise AssertionError(text) from error


@pytest.mark.parametrize(
    "layout", [{}, {"separators": (",", ":")}, {"ensure_ascii": False}]
)
def test_plain_json_rows_are_taken(layout: dict) -> None:
    rows = [
        [n, n / 7, None if n % 3 else f'say "{n}"\n é', n % 2 == 0, None]
        for n in range(100)
    ]
    assert same_as_exact(
        json.dumps(rows, **layout), large_lists.read_rows, jsontext.loads
    )


@pytest.mark.parametrize(
    "cell", ["1.50", "0.12345678901234567890", "NaN", "N", "\1", "9007199254740993"]
)
def test_a_json_number_that_is_no_float_is_left_to_the_exact_path(cell: str) -> None:
    assert large_lists.read_rows(f"[[0.5, 1], [{cell}, 2], [0.25, 3]]") is None


def test_a_string_that_holds_a_row_end_or_a_cell_end_changes_nothing() -> None:
    rows = [
        ["x], [y", 1, 'a, "b', '", "'],
        ["p], [q", 2, "\\", "\n"],
        ["é☕", 3, "", None],
    ]
    assert same_as_exact(json.dumps(rows * 40), large_lists.read_rows, jsontext.loads)
    assert same_as_exact(
        json.dumps(rows * 40, separators=(",", ":")),
        large_lists.read_rows,
        jsontext.loads,
    )


NO_PLAIN_ROWS = [
    '["a"x, 1]', '["a" , 1]', '["a", 01]', '["a", "1"]', '["a\\x", 1]', '["a\t", 1]', "[]", "[null]", '[["a"], 1]',
    '[{"a": 1}, 1]',
]  # fmt: skip


@pytest.mark.parametrize("row", NO_PLAIN_ROWS)
def test_what_is_no_plain_row_is_left_to_the_exact_path(row: str) -> None:
    assert large_lists.read_rows(f'[["b", 1], {row}, ["c", 2]]') is None
