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
        "texts in quotes, of which nothing is guessed; before Python in text, which "
        "takes a part of such a list",
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
        "proved by INSERT INTO; before formats that a text in its values may hold",
        position="after records without quotes",
    ),
    FormatReader(
        "php",
        exports.read_php,
        "proved by its arrays; before formats that a text in its values may hold",
        position="after insert statements",
    ),
    FormatReader(
        "latex",
        exports.read_latex,
        "proved by its environment; before formats whose separators it uses in "
        "rules and in letters for columns",
        position="after lines of one column",
    ),
    FormatReader(
        "toml",
        exports.read_toml,
        "proved by [[table]]; before records of `name = value` lines",
        position="after latex",
    ),
)
