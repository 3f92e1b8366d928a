"""What programs of other languages print and dump: one group of readers that can be
switched off.

They come through the same door as readers of other packages (`results.readers`, the
entry `languages`). All of them are proved by their grammar, so the group stands before
the formats that are recognized by their shape.
"""

from __future__ import annotations

from mcp_notebook.results.formats import code_records, exports
from mcp_notebook.results.readers import FormatReader

READERS = (
    FormatReader(
        "code",
        code_records.read_code_records,
        "texts in quotes: nothing of it is guessed, so it is asked before all others",
        position="first",
    ),
    FormatReader(
        "records without quotes",
        code_records.read_bare_records,
        "after the lists with quotes, whose values must not be cut at a comma",
        position="after code",
    ),
    FormatReader(
        "insert statements",
        exports.read_inserts,
        "proved by INSERT INTO; a text in its values may hold any format below",
        position="after records without quotes",
    ),
    FormatReader(
        "php",
        exports.read_php,
        "proved by its arrays; before the formats whose tables a value may hold",
        position="after insert statements",
    ),
    FormatReader(
        "latex",
        exports.read_latex,
        "proved by its environment; before markdown and CSV, whose separators it uses "
        "in rules and column letters",
        position="after lines of one column",
    ),
    FormatReader(
        "toml",
        exports.read_toml,
        "proved by [[table]]; before records of `name = value` lines",
        position="after latex",
    ),
)
