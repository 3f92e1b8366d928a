"""The account of every leaf: what a result holds is in a table, in the text, among the
pictures, or named in a note.

Envelopes of any shape are made at random, with a value of its own at each leaf, so that
it can be looked for in what was read.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcp_notebook.results import Reading, error_detection, read, texts
from mcp_notebook.results.reading import from_rows
from mcp_notebook.results.structured import prints_table
from tests import SWEEP
from tests.data import captures_folder
from tests.results import account

# names that readers look for, and some that they do not know
_KEYS = (
    "rows data records results result items documents metadatas ids labels datasets "
    "columns fields schema meta index values name type status success message count "
    "total_count has_more next_cursor error warnings links pagination query nodes edges "
    "node properties geometry features metric series tags text content head bindings "
    "vars note id title user alpha beta gamma delta epsilon"
).split()
_NAMES = st.sampled_from(_KEYS)
# the kind of each leaf; its value is drawn when the shape stands
_LEAF = st.sampled_from(["text", "words", "integer", "fraction", "true", "null"])


def _lists_of_rows() -> st.SearchStrategy[Any]:
    """Records and rows, which the readers are made for."""
    names = st.lists(_NAMES, min_size=1, max_size=4, unique=True)
    record = names.flatmap(
        lambda keys: st.lists(
            st.fixed_dictionaries(dict.fromkeys(keys, _LEAF)), min_size=1, max_size=4
        )
    )
    width = st.integers(1, 3)
    rows = width.flatmap(
        lambda size: st.lists(
            st.lists(_LEAF, min_size=size, max_size=size), min_size=1, max_size=4
        )
    )
    return record | rows | st.lists(_LEAF, max_size=4)


_VALUES = st.recursive(
    _LEAF | _lists_of_rows(),
    lambda inner: (
        st.dictionaries(_NAMES, inner, max_size=5) | st.lists(inner, max_size=3)
    ),
    max_leaves=14,
)
_ENVELOPES = st.dictionaries(_NAMES, _VALUES, min_size=1, max_size=6) | _lists_of_rows()


def fill_leaves(shape: Any, numbers: Iterator[int]) -> Any:
    """The shape with a value of its own at each leaf."""
    if isinstance(shape, dict):
        return {key: fill_leaves(item, numbers) for key, item in shape.items()}
    if isinstance(shape, list):
        return [fill_leaves(item, numbers) for item in shape]

    number = next(numbers)
    made = {
        "text": f"leaf{number}",
        "words": f"some words with leaf{number}",
        "integer": 700000 + number,
        "fraction": number + 0.25,
        "true": True,
        "null": None,
    }
    return made[shape]


def leaves_of(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Each scalar with the names on its way; flags and nulls cannot be told apart."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves_of(item, (*path, key))
    elif isinstance(value, list):
        for item in value:
            yield from leaves_of(item, path)
    elif value is not None and value is not True:
        yield path, value


def texts_of(reading: Reading) -> str:
    """All that a person can get from a reading, as one text."""
    cells: list[str] = []
    for table in reading.tables:
        cells += table.data.column_names
        cells += table.notes
        cells += map(str, table.names)
        cells.append(table.truncated)
        cells += map(
            str, itertools.chain.from_iterable(map(_flat, table.data.to_pylist()))
        )

    parts = [reading.text, reading.error or "", *reading.notes, *cells]
    return "\n".join(parts)


def _flat(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [part for item in value.values() for part in [*_flat(item)]] + list(
            value
        )
    if isinstance(value, (list, tuple)):
        return [part for item in value for part in _flat(item)]
    return [value]


def lost_leaves(value: Any, reading: Reading) -> list[Any]:
    """The leaves that are nowhere."""
    have = texts_of(reading)
    lost = []
    for path, leaf in leaves_of(value):
        named = any(f"`{key}`" in note for key in path for note in _notes(reading))
        # which schema a column is of is left out: many servers say it of every column
        if path[-1:] == ("schema",) and isinstance(leaf, str):
            continue
        if str(leaf) not in have and not named:
            lost.append((path, leaf))

    return lost


def _notes(reading: Reading) -> list[str]:
    return [*reading.notes, *(note for t in reading.tables for note in t.notes)]


# Many of them are made by seeds, which is ten times as fast as strategies are.
ENVELOPES, BATCH = 10_000 if SWEEP else 3_000, 1_000
_LEAVES = ["text", "words", "integer", "fraction", "true", "null"]


def make_value(rng: random.Random, depth: int) -> Any:
    """A shape as the strategies draw it."""
    choice = rng.random()
    if depth <= 0 or choice < 0.3:
        return rng.choice(_LEAVES)
    if choice < 0.5:
        keys = rng.sample(_KEYS, rng.randint(1, 4))
        return [
            {key: rng.choice(_LEAVES) for key in keys} for _ in range(rng.randint(1, 4))
        ]
    if choice < 0.6:
        width = rng.randint(1, 3)
        return [rng.choices(_LEAVES, k=width) for _ in range(rng.randint(1, 4))]
    if choice < 0.8:
        return [make_value(rng, depth - 1) for _ in range(rng.randint(0, 3))]

    return make_envelope(rng, depth - 1)


def make_envelope(rng: random.Random, depth: int = 3) -> dict[str, Any]:
    keys = rng.sample(_KEYS, rng.randint(1, 6))
    return {key: make_value(rng, depth) for key in keys}


@pytest.mark.slow
@pytest.mark.parametrize("batch", range(ENVELOPES // BATCH))
def test_no_leaf_of_ten_thousand_envelopes_is_lost(batch: int) -> None:
    for seed in range(batch * BATCH, (batch + 1) * BATCH):
        value = fill_leaves(make_envelope(random.Random(seed)), itertools.count())
        text = json.dumps(value)
        as_text = read({"content": [{"type": "text", "text": text}]})
        assert not lost_leaves(value, as_text), (seed, text)
        if seed % 2:
            as_value = read({"content": [], "structuredContent": value})
            assert not lost_leaves(value, as_value), (seed, text)


@settings(suppress_health_check=list(HealthCheck), deadline=None)
@given(_ENVELOPES)
def test_no_leaf_of_an_envelope_is_lost_in_a_text(shape: Any) -> None:
    value = fill_leaves(shape, itertools.count())
    text = json.dumps(value)
    reading = read({"content": [{"type": "text", "text": text}]})
    assert not lost_leaves(value, reading)


@settings(suppress_health_check=list(HealthCheck), deadline=None)
@given(_ENVELOPES, st.sampled_from(["", "Found some rows with leafword.", "same"]))
def test_no_leaf_of_structured_content_is_lost(shape: Any, words: str) -> None:
    value = fill_leaves(shape, itertools.count())
    text = json.dumps(value) if words == "same" else words
    blocks = [{"type": "text", "text": text}] if text else []
    reading = read({"content": blocks, "structuredContent": value})
    assert not lost_leaves(value, reading)
    assert "leafword" not in words or "leafword" in texts_of(reading)


# --- the account over what servers sent


@pytest.mark.slow
def test_no_leaf_of_a_captured_result_is_lost() -> None:
    checked = 0
    for held in account.held_results(captures_folder()):
        checked += 1
        assert not account.lost_leaves(held, held.read()), held.place

    assert checked > 500


def test_the_account_misses_a_cell_and_a_line_that_nobody_kept() -> None:
    text = json.dumps({"rows": [{"city": "Oslo"}, {"city": "Rome"}], "seen": "today"})
    held = account.Held("", {"content": [{"type": "text", "text": text}]}, None, "", {})
    reading = held.read()
    assert account.lost_leaves(held, reading) == []

    without = replace(reading, text="")
    assert account.lost_leaves(held, without) == [("today", ".seen: today")]
    (table,) = reading.tables
    short = replace(reading, tables=(replace(table, data=table.data.slice(1)),))
    assert account.lost_leaves(held, short) == [("oslo", ".rows.city: Oslo")]


# --- the forms that the account was drawn up for

PNG = "iVBORw0KGgo" + "A" * 105
FORMS: dict[str, tuple[Any, list[dict[str, Any]]]] = {
    "names beside a count": (
        {"metrics": ["up", "down"], "total_count": 2},
        [{"metrics": "up"}, {"metrics": "down"}],
    ),
    "lists side by side": (
        {"ids": ["a", "b"], "documents": ["x", "y"], "metadatas": [{"k": 1}, None]},
        [
            {"ids": "a", "documents": "x", "metadatas": {"k": 1}},
            {"ids": "b", "documents": "y", "metadatas": None},
        ],
    ),
    "a list of answers in each column": (
        {"ids": [["a", "b"]], "distances": [[0.5, 0.25]], "embeddings": None},
        [{"ids": "a", "distances": 0.5}, {"ids": "b", "distances": 0.25}],
    ),
    "the data of a chart": (
        {"labels": ["Jan", "Feb"], "datasets": [{"label": "n", "data": [1, 2]}]},
        [{"label": "Jan", "n": 1}, {"label": "Feb", "n": 2}],
    ),
    "a map of records whose keys differ": (
        {"columns": {"id": {"type": "int", "key": True}, "city": {"type": "text"}}},
        [
            {"name": "id", "type": "int", "key": True},
            {"name": "city", "type": "text", "key": None},
        ],
    ),
    "an empty list beside links": (
        {"resultType": "vector", "result": [], "links": [{"href": "http://x"}]},
        [],
    ),
    "an empty list under any name": ({"status": "success", "watches": []}, []),
    "GeoJSON": (
        {
            "type": "FeatureCollection",
            "features": [
                {
                    "type": "Feature",
                    "properties": {"name": "Oslo"},
                    "geometry": {"type": "Point", "coordinates": [10.7, 59.9]},
                }
            ],
        },
        [{"name": "Oslo", "geometry": {"type": "Point", "coordinates": [10.7, 59.9]}}],
    ),
    "SPARQL": (
        {
            "head": {"vars": ["city", "n"]},
            "results": {
                "bindings": [
                    {
                        "city": {"type": "literal", "value": "007", "xml:lang": "de"},
                        "n": {"value": "3", "datatype": "http://w3.org/x#integer"},
                    }
                ]
            },
        },
        [{"city": "007", "city_lang": "de", "n": 3}],
    ),
    "GraphQL's ID": ({"data": {"users": [{"id": "1", "n": 2}]}}, [{"id": "1", "n": 2}]),
    "MongoDB's identifier": (
        [{"_id": {"$oid": "123456789012345678901234"}}],
        [{"_id": "123456789012345678901234"}],
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_form_is_read_as_its_rows(name: str) -> None:
    value, rows = FORMS[name]
    reading = read({"content": [{"type": "text", "text": json.dumps(value)}]})
    assert reading.tables[0].data.to_pylist() == rows


@pytest.mark.parametrize(
    "value",
    [
        {"status": "done", "content": [{"type": "image", "data": PNG}]},
        {"chart": {"mimeType": "image/png", "data": PNG, "title": "Sales"}},
        {"image": PNG, "title": "Sales"},
        {"url": f"data:image/png;base64,{PNG}"},
        {
            "drawing": "<svg xmlns='http://www.w3.org/2000/svg'><path d='M0 0'/>"
            + " " * 60
        },
    ],
)
def test_a_picture_in_json_is_a_picture(value: Any) -> None:
    reading = read({"content": [{"type": "text", "text": json.dumps(value)}]})
    assert len(reading.images) == 1
    assert "Sales" not in json.dumps(value) or "Sales" in texts_of(reading)
    assert PNG not in reading.text


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (
            {"error": "NotFound", "message": "table x does not exist"},
            "NotFound: table x does not exist",
        ),
        (
            {"error": {"code": -32603, "message": "Internal error", "data": "no disk"}},
            "Internal error: no disk",
        ),
    ],
)
def test_both_halves_of_an_error_are_told(value: Any, said: str) -> None:
    assert (
        read({"content": [{"type": "text", "text": json.dumps(value)}]}).error == said
    )


_ROW = {"type": "object", "properties": {"id": {"type": "integer"}, "name": {"type": "string"}}}  # fmt: skip


@pytest.mark.parametrize("items", [_ROW, {"$ref": "#/$defs/Row"}])
@pytest.mark.parametrize("key", ["result", "shops"])
@pytest.mark.parametrize("optional", [False, True])
def test_an_empty_list_has_the_columns_that_the_tool_declares(
    items: Any, key: str, optional: bool
) -> None:
    rows = {"type": "array", "items": items}
    form = {"anyOf": [rows, {"type": "null"}]} if optional else rows
    properties = {key: form, "total": {"type": "integer"}}
    schema = {"type": "object", "properties": properties, "$defs": {"Row": _ROW}}
    result = {"content": [], "structuredContent": {key: [], "total": 0}}
    (table,) = read(result, output_schema=schema).tables
    assert (table.data.num_rows, table.data.column_names) == (0, ["id", "name"])
    assert table.notes == ("no rows came: the tool declares these columns",)


def test_a_second_table_in_the_text_stands_beside_structured_content() -> None:
    text = "|term|df|p|\n|---|---|---|\n|g|1|0.6127|\n|Residuals|6|0.9|"
    structured = {"anova": {"terms": ["g"], "df": [1]}, "formula": "y ~ g"}
    blocks = [{"type": "text", "text": text}]
    reading = read({"content": blocks, "structuredContent": structured})
    assert [table.data.num_rows for table in reading.tables] == [2, 1]
    assert "y ~ g" in reading.text


def test_a_count_of_several_lists_cuts_none_of_them() -> None:
    value = {
        "total": 5,
        "users": [{"a": 1}, {"a": 2}],
        "groups": [{"b": n} for n in (1, 2, 3)],
    }
    reading = read({"content": [{"type": "text", "text": json.dumps(value)}]})
    assert [table.truncated for table in reading.tables] == ["", ""]


# --- a text that prints the table of the structured content, and one that nearly does

_CELLS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(-1e9, 1e9, allow_nan=False)
    | st.text(st.sampled_from("ab1 ,;|\t\"'{}[]<>:-\n()é"), max_size=8)
    | st.sampled_from(["error", '{"a": 1}', "<table>", "(2 rows)", "- x: 1", "NULL"])
)


@st.composite
def printed_tables(draw: st.DrawFn) -> tuple[dict[str, Any], str]:
    """Structured content, and its table as `csv.writer` prints it."""
    names = draw(st.lists(_NAMES, min_size=1, max_size=4, unique=True))
    row = st.lists(_CELLS, min_size=len(names), max_size=len(names))
    rows = draw(st.lists(row, min_size=1, max_size=4))
    written = io.StringIO()
    csv.writer(written, lineterminator=draw(st.sampled_from(["\n", "\r\n"]))).writerows(
        [names, *rows]
    )
    columns = [{"name": name, "type": ""} for name in names]
    return {"columns": columns, "rows": rows}, written.getvalue()


def read_both(structured: dict[str, Any], *words: str) -> Reading:
    """The reading of structured content and text blocks."""
    blocks = [{"type": "text", "text": text} for text in words]
    return read({"content": blocks, "structuredContent": structured})


def summary(reading: Reading) -> tuple[Any, ...]:
    """All of a reading that is told, but for what else was tried."""
    tables = [(repr(t.data.to_pylist()), t.notes, t.truncated) for t in reading.tables]
    return tables, reading.text, reading.error, reading.notes


@settings(max_examples=300, deadline=None)
@given(printed_tables(), st.booleans())
def test_text_that_prints_the_table_says_nothing_more(
    printed: tuple[dict[str, Any], str], counted: bool
) -> None:
    structured, text = printed
    count = len(structured["rows"])
    foot = f"({count} row{'s' * (count > 1)})" if counted else ""
    assert summary(read_both(structured, text + foot)) == summary(read_both(structured))


@settings(max_examples=100, deadline=None)
@given(printed_tables(), st.sampled_from(["x", "(7 rows)", "a,b\n", "\n(1 row) more"]))
def test_text_with_a_word_more_is_read(
    printed: tuple[dict[str, Any], str], more: str
) -> None:
    structured, text = printed
    names = [column["name"] for column in structured["columns"]]
    raw = from_rows(names, structured["rows"])
    assert prints_table(text, raw)
    assert not prints_table(text + more, raw)
    assert not prints_table(text.partition("\n")[2], raw)


@settings(max_examples=300, deadline=None)
@given(_ENVELOPES, st.sampled_from(["status", "Error", "is-error", "message", "ok"]))
def test_the_guard_is_spared_only_where_it_finds_nothing(shape: Any, key: str) -> None:
    value = fill_leaves(shape, itertools.count())
    for item in (
        [value, {**value, key: "failed"}] if isinstance(value, dict) else [value]
    ):
        found = error_detection.error_in_value(item)
        assert found is None or texts.read_value(item, "json").error == found
