"""What programs of other languages print and dump: one group of readers that can be
switched off.

They come through the same door as readers of other packages (`results.readers`, the
entry `languages`). All of them are proved by their grammar, so the group stands before
the formats that are recognized by their shape.
"""

from __future__ import annotations

from collections.abc import Sequence

from mcp_notebook.results.formats import (
    bare_rows,
    code_rows,
    inserts,
    latex,
    php_rows,
    toml_rows,
)
from mcp_notebook.results.raw_table import Answer
from mcp_notebook.results.readers import FormatReader


def _read_inserts(text: str, selected: Sequence[str]) -> Answer:
    return inserts.read(text)


def _read_php(text: str, selected: Sequence[str]) -> Answer:
    return php_rows.read(text)


def _read_latex(text: str, selected: Sequence[str]) -> Answer:
    return latex.read(text)


READERS = (
    FormatReader(
        "code",
        code_rows.read,
        "texts in quotes: nothing of it is guessed, so it is asked before all others",
        position="first",
    ),
    FormatReader(
        "records without quotes",
        bare_rows.read,
        "after the lists with quotes, whose values must not be cut at a comma",
        position="after code",
    ),
    FormatReader(
        "insert statements",
        _read_inserts,
        "proved by INSERT INTO; a text in its values may hold any format below",
        position="after records without quotes",
    ),
    FormatReader(
        "php",
        _read_php,
        "proved by its arrays; before the formats whose tables a value may hold",
        position="after insert statements",
    ),
    FormatReader(
        "latex",
        _read_latex,
        "proved by its environment; before markdown and CSV, whose separators it uses "
        "in rules and column letters",
        position="after lines of one column",
    ),
    FormatReader(
        "toml",
        toml_rows.read,
        "proved by [[table]]; before records of `name = value` lines",
        position="after latex",
    ),
)
