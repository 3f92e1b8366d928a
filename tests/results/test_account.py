"""The account of every leaf: what a result holds is in a table, in the text, among the
pictures, or named in a note.

Envelopes of any shape are made at random, with a value of its own at each leaf, so that
it can be looked for in what was read.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcp_notebook.results import Reading, read

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
        if str(leaf) not in have and not named:
            lost.append((path, leaf))

    return lost


def _notes(reading: Reading) -> list[str]:
    return [*reading.notes, *(note for t in reading.tables for note in t.notes)]


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
