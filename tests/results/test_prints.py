"""Frames as programs write them: every default way of pandas and its kin gives back
every cell, the index where it says something, and the words around.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal

import pandas as pd
import pytest

from mcp_notebook.results import Reading, read

_ROWS = pd.DataFrame(
    {
        "region": ["East", "East", "West"],
        "city": ["Bonn", "Rome", "Oslo"],
        "sales": [10.5, 20.25, 3.75],
        "n": [11, 22, 33],
    }
)
FRAMES = {
    "numbered": _ROWS,
    "named": _ROWS.set_index("city"),
    "labelled": _ROWS.drop(columns="region").set_index(pd.Index(["r1x", "r2x", "r3x"])),
    "two levels": _ROWS.set_index(["region", "city"]),
    "two levels without names": _ROWS.set_index(["region", "city"]).rename_axis(
        [None, None]
    ),
    "two levels of columns": _ROWS.pivot_table(
        index="city", values=["sales", "n"], aggfunc=["sum", "max"]
    ),
}


def print_like_r(frame: pd.DataFrame) -> str:
    """`print(data.frame)`: numbers of rows without a heading, everything to the right."""
    numbers = ["", *map(str, range(1, len(frame) + 1))]
    columns = [[str(name), *map(str, frame[name])] for name in frame]
    widths = [max(map(len, column)) for column in (numbers, *columns)]
    lines = []
    for number, *cells in zip(numbers, *columns, strict=True):
        padded = [
            cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)
        ]
        lines.append(" ".join([number.ljust(widths[0]), *padded]))

    return "\n".join(lines)


def _join_calls(frame: pd.DataFrame, form: str) -> str:
    records = frame.reset_index().to_dict("records")
    written = []
    for record in records:
        fields = [f"{name}={value!r}" for name, value in record.items()]
        whole = {
            "dict": repr(record),
            "fields": ", ".join(fields),
            "bare": " ".join(fields),
        }
        written.append(form.format(**whole))

    return f"[{', '.join(written)}]"


WRITERS: dict[str, Callable[[pd.DataFrame], str]] = {
    "to_string": pd.DataFrame.to_string,
    "repr": repr,
    "csv": pd.DataFrame.to_csv,
    "quoted csv": lambda frame: frame.to_csv(quoting=1),
    "tsv": lambda frame: frame.to_csv(sep="\t"),
    "html": pd.DataFrame.to_html,
    "notebook": lambda frame: frame._repr_html_(),
    "split": lambda frame: frame.to_json(orient="split"),
    "index": lambda frame: frame.to_json(orient="index"),
    "records": lambda frame: frame.reset_index().to_json(orient="records"),
    "tight": lambda frame: json.dumps(frame.to_dict(orient="tight"), default=str),
    "psycopg2": lambda frame: _join_calls(frame, "RealDictRow({dict})"),
    "asyncpg": lambda frame: _join_calls(frame, "<Record {bare}>"),
    "named tuples": lambda frame: _join_calls(frame, "Record({fields})"),
}
# These write no index.
BARE_WRITERS: dict[str, Callable[[pd.DataFrame], str]] = {
    "to_string": lambda frame: frame.to_string(index=False),
    "csv": lambda frame: frame.to_csv(index=False),
    "html": lambda frame: frame.to_html(index=False),
    "R": print_like_r,
    "tuples": lambda frame: str(list(frame.itertuples(index=False, name=None))),
}
AROUND = {
    "alone": ("", ""),
    "between words": ("Here is what was asked for:\n\n", "\n\nWARN it took 3 ms"),
}
# Calls hold names of one level.
_ONE_LEVEL = {
    "psycopg2",
    "asyncpg",
    "named tuples",
    "records",
    "split",
    "index",
    "tight",
}


def _read_between(text: str, around: str) -> Reading:
    before, after = AROUND[around]
    reading = read({"content": [{"type": "text", "text": before + text + after}]})
    if before:
        assert "asked for" in reading.text
        assert "WARN it took" in reading.text

    return reading


def _cells(reading: Reading) -> set[str]:
    assert len(reading.tables) == 1, reading.rejected
    assert reading.tables[0].data.num_rows == len(_ROWS)
    rows = reading.tables[0].data.to_pylist()
    return {_as_text(cell) for row in rows for cell in row.values()}


def _as_text(cell: object) -> str:
    """A cell in one spelling: a print pads fractions, and JSON writes 11.0 as 11."""
    return f"{float(cell):g}" if isinstance(cell, (float, Decimal)) else str(cell)


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("name", FRAMES)
def test_cells_index_and_words_are_kept(name: str, writer: str, around: str) -> None:
    frame = FRAMES[name]
    if writer in _ONE_LEVEL and frame.columns.nlevels > 1:
        pytest.skip("the form has no levels of columns")
    if writer == "index" and frame.index.nlevels > 1:
        pytest.skip("the form has no levels of an index")

    reading = _read_between(WRITERS[writer](frame), around)
    have = _cells(reading)
    wanted = {_as_text(cell) for cell in frame.to_numpy().ravel()}
    if name != "numbered":
        wanted |= {str(label) for label in frame.index.to_frame().to_numpy().ravel()}

    assert not wanted - have
    said = " ".join(reading.tables[0].data.column_names)
    levels = frame.columns.to_frame().to_numpy().ravel()
    assert not [part for part in map(str, levels) if part not in said]


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("writer", BARE_WRITERS)
@pytest.mark.parametrize("name", ["numbered", "named"])
def test_cells_without_an_index_are_kept(name: str, writer: str, around: str) -> None:
    frame = FRAMES[name].reset_index(drop=True)
    have = _cells(_read_between(BARE_WRITERS[writer](frame), around))
    assert not {_as_text(cell) for cell in frame.to_numpy().ravel()} - have
