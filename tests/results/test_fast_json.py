"""The fast path for JSON gives exactly what the exact path gives, or None."""

import json
from collections.abc import Iterator

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_notebook.results.columns import fast_columns, infer
from mcp_notebook.results.reading import from_records
from mcp_notebook.results.values import fast_json, jsontext


@pytest.fixture(autouse=True, scope="module")
def no_size_is_small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fast_json, "SMALL", 0)
        patch.setattr(fast_columns, "SMALL", 0)
        yield


def same_as_exact(text: str, strictness: infer.Strictness = "numbers") -> bool:
    """Whether the fast path took the text; what it gave is compared with the exact path."""
    found = fast_json.read_table(text)
    if found is None:
        return False
    raw = from_records(jsontext.loads(text))
    assert tuple(found.column_names) == raw.names
    for fast, values in zip(found.columns, raw.columns, strict=True):
        want = infer.column(values, text=strictness)
        have = fast_columns.column_of_texts(fast, text=strictness)
        assert have.array.type == want.array.type
        assert (
            have.array.equals(want.array)
            or have.array.to_pylist().__repr__() == want.array.to_pylist().__repr__()
        )
        assert (have.type_note, have.note) == (want.type_note, want.note)
    return True


TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        [
            "",
            "null",
            ": null",
            '": null',
            '}, {"a": 1',
            ', "b": 2',
            "2024-01-01",
            "007",
            "1.50",
            "-0",
            "\\",
        ]
    ),
)
DATES = st.dates().map(str)
STAMPS = st.one_of(
    st.datetimes().map(lambda moment: moment.isoformat()),
    st.datetimes().map(lambda moment: moment.isoformat(sep=" ", timespec="seconds")),
    st.datetimes().map(lambda moment: moment.isoformat(timespec="milliseconds") + "Z"),
    st.dates().map(lambda day: f"{day}T00:00:00.000Z"),
    st.datetimes().map(lambda moment: moment.isoformat() + "+00:00"),
)
NUMBERS = st.one_of(
    st.decimals(-(10**9), 10**9, places=2).map(str),
    st.integers(-(10**20), 10**20).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.decimals(-10, 10, places=4).map(str),
)
KINDS = [
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.one_of(st.integers(-(2**54), 2**54), st.floats(-1e6, 1e6)),
    st.booleans(),
    TEXTS,
    DATES,
    STAMPS,
    NUMBERS,
    st.one_of(DATES, STAMPS),
    st.one_of(st.integers(), TEXTS),
    st.lists(st.integers(), max_size=2),
    st.none(),
]
KEYS = st.sampled_from(
    ["id", "a", "b c", "null", "name", "größe", "x_1", "Ünï", "a, b", 'q"', "value"]
)


@st.composite
def records(draw: st.DrawFn) -> list[dict]:
    names = draw(st.lists(KEYS, min_size=1, max_size=5, unique=True))
    columns = [st.one_of(draw(st.sampled_from(KINDS)), st.none()) for _ in names]
    columns = [
        draw(st.sampled_from([column, draw(st.sampled_from(KINDS))]))
        for column in columns
    ]
    rows = draw(st.lists(st.tuples(*columns), min_size=2, max_size=12))
    return [dict(zip(names, row, strict=True)) for row in rows]


LAYOUTS = [{}, {"separators": (",", ":")}, {"indent": 2}, {"ensure_ascii": False}]


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(
    records(),
    st.sampled_from(LAYOUTS),
    st.sampled_from(["numbers", "dates", "all", "keep"]),
)
def test_any_records_in_any_layout_are_the_same_or_left_alone(
    rows: list[dict], layout: dict, strictness
) -> None:
    same_as_exact(json.dumps(rows, **layout), strictness)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(records(), st.sampled_from(LAYOUTS), st.data())
def test_a_damaged_text_is_the_same_or_left_alone(
    rows: list[dict], layout: dict, data: st.DataObject
) -> None:
    text = json.dumps(rows, **layout)
    at = data.draw(st.integers(0, len(text) - 1))
    damage = data.draw(
        st.sampled_from(
            [
                '"',
                ",",
                "}",
                "{",
                " ",
                "0",
                "1",
                ".5",
                "e5",
                "null",
                "\\",
                "x",
                "",
                ":",
                "\n",
            ]
        )
    )
    text = text[:at] + damage + text[at + data.draw(st.integers(0, 2)) :]
    try:
        jsontext.loads(text)
    except ValueError:
        assert fast_json.read_table(text) is None
    else:
        value = jsontext.loads(text)
        if (
            isinstance(value, list)
            and value
            and all(isinstance(row, dict) for row in value)
        ):
            same_as_exact(text)


ROWS = [
    {
        "id": n,
        "price": n / 7,
        "note": None if n % 3 else f'say "{n}", ok\n',
        "day": f"2024-01-{n % 28 + 1:02}",
    }
    for n in range(1000)  # more than the sample sees
]
LATE = 970  # a row the sample does not see


@pytest.mark.parametrize(
    "layout", [{}, {"separators": (",", ":")}, {"indent": 2}, {"indent": "\t"}]
)
def test_plain_records_are_taken_in_every_usual_layout(layout: dict) -> None:
    assert same_as_exact(json.dumps(ROWS, **layout))


def test_text_before_conversion_is_as_sent() -> None:
    found = fast_json.read_table(json.dumps(ROWS))
    assert found is not None
    assert found.schema.types == [pa.int64(), pa.float64(), pa.string(), pa.string()]
    assert found["day"][3].as_py() == "2024-01-04"


def changed(row: int, **cells: object) -> str:
    rows = [dict(item) for item in ROWS]
    rows[row].update(cells)
    return json.dumps(rows)


@pytest.mark.parametrize(
    "text",
    [
        changed(LATE, id="x"),
        changed(LATE, id=1.5),
        changed(LATE, id=2**63),
        changed(LATE, id=None, price=2**53 + 1),
        changed(LATE, price=float("nan")),
        changed(LATE, price=float("inf")),
        changed(LATE, note=3),
        changed(LATE, note=[1]),
        changed(LATE, note={"a": 1}),
        changed(LATE, more=1),
        json.dumps([*ROWS, {"id": 1}]),
        json.dumps([*ROWS, {}]),
        json.dumps(ROWS)[:-1],
        json.dumps(ROWS) + "]",
        json.dumps(ROWS)[:-1] + ",]",
        json.dumps(ROWS).replace('{"id": 970,', '{"id": 970, "id": 41,'),
        json.dumps(ROWS).replace('"id": 970,', '"id": 0970,'),
        json.dumps(ROWS).replace('"price": 138.57142857142858', '"price": 5.50'),
        json.dumps(ROWS).replace(
            '"price": 138.57142857142858', '"price": 5.71428571428571412345'
        ),
        json.dumps(ROWS).replace('"id": 970,', ""),
        json.dumps(ROWS).replace('say \\"969\\"', "\\ud800"),
        "[]",
        "[1, 2]",
        '{"a": 1}',
        '[{"a": 1}]',
    ],
)
def test_what_arrow_would_read_otherwise_is_left_to_the_exact_path(text: str) -> None:
    assert fast_json.read_table(text) is None


def test_a_null_word_within_a_string_does_not_hide_a_missing_field() -> None:
    rows = [*ROWS[:-1], {"id": 999, "note": '": null, ": null', "day": "2024-01-01"}]
    assert fast_json.read_table(json.dumps(rows)) is None


def test_a_column_that_is_null_in_the_sample_finds_its_type_by_its_first_value() -> (
    None
):
    rows = [{"id": n, "late": "here" if n == 1777 else None} for n in range(3000)]
    assert same_as_exact(json.dumps(rows))
