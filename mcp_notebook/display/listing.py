"""A short list of things as a good-looking table: the tools of the servers, the state
of the connections.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from mcp_notebook.display.card_text import align_table
from mcp_notebook.display.html_parts import DIM, FRAME, NO_MATH, SANS, code, escape, tag
from mcp_notebook.untrusted_text import clip, visible

CLIP = 140  # characters of a cell; the rest is in its title
TEXT = 60
MARKED = {"tool", "name", "server"}  # names of columns that are written as code

Row = Mapping[str, object]


def tools_table_html(rows: Sequence[Row]) -> dict[str, str]:
    """The mime bundle of `%mcp_tools`; long descriptions are clipped, their whole text
    is the cell's title.
    """
    return listing(
        rows, empty="No tools: connect a server with %mcp_connect NAME COMMAND-OR-URL."
    )


def status_table_html(rows: Sequence[Row]) -> dict[str, str]:
    """The mime bundle of `%mcp_status` and other short lists."""
    return listing(
        rows, empty="No server is connected: %mcp_connect NAME COMMAND-OR-URL."
    )


def listing(rows: Sequence[Row], *, empty: str) -> dict[str, str]:
    """Rows, the same keys in each, as text/html and text/plain; `empty` is said when
    there are none.
    """
    return {
        "text/html": listing_html(rows, empty=empty),
        "text/plain": listing_text(rows, empty=empty),
    }


def listing_html(rows: Sequence[Row], *, empty: str) -> str:
    """Any rows as an HTML table that needs no style to be read."""
    if not rows:
        return tag("div", escape(empty), f"{SANS};{DIM}")

    names = list(rows[0])
    numeric = {name: _is_numeric(rows, name) for name in names}
    head = [_piece("th", name, escape(visible(name)), numeric[name]) for name in names]
    body = [_row_html(row, numeric) for row in rows]
    inner = tag("thead", tag("tr", "".join(head))) + tag("tbody", "".join(body))
    table = tag("table", inner, f"{SANS};border-collapse:collapse;margin:0")
    return tag("div", table, f"{FRAME};border-radius:6px;margin:4px 0", NO_MATH)


def _row_html(row: Row, numeric: Mapping[str, bool]) -> str:
    """`numeric`: the columns in order, and whether they hold numbers."""
    cells = [_cell(name, row.get(name), right) for name, right in numeric.items()]
    return tag("tr", "".join(cells))


def listing_text(rows: Sequence[Row], *, empty: str) -> str:
    """The same rows as an aligned text table."""
    if not rows:
        return empty

    names = list(rows[0])
    cells = []
    for row in rows:
        cells.append([clip(_words(row.get(name)), TEXT) for name in names])

    header = [visible(name) for name in names]
    return align_table(header, cells, [_is_numeric(rows, name) for name in names])


def _is_numeric(rows: Sequence[Row], name: str) -> bool:
    return all(_is_number(row.get(name)) for row in rows)


def _cell(name: str, value: object, numeric: bool) -> str:
    text = _words(value)
    inner = escape(clip(text, CLIP))
    # A title is no place for formulas, so the dollar stays as it is there.
    if len(text) > CLIP:
        title = f' title="{html.escape(text)}"'
    else:
        title = ""

    return _piece("td", name, code(inner) if name in MARKED else inner, numeric, title)


def _piece(kind: str, name: str, inner: str, numeric: bool, title: str = "") -> str:
    if numeric:
        side = "right"
    else:
        side = "left"

    is_short = numeric or name in MARKED
    if is_short:
        wrap = "white-space:nowrap"
    else:
        wrap = "max-width:560px;white-space:normal"

    style = f"text-align:{side};vertical-align:top;padding:5px 12px;{wrap}"
    return tag(kind, inner, style, f' align="{side}"{title}')


def _words(value: object) -> str:
    if value is None:
        return ""

    if isinstance(value, bool):
        if value:
            return "yes"
        return "no"

    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(map(_words, value))

    return visible(" ".join(str(value).split()))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
