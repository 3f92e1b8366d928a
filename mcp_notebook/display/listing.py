"""What magics list: the tools of the servers and the state of the connections as a
good-looking table, the conversation as the model has it a row a turn.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from mcp_notebook.display.call_view import byte_size
from mcp_notebook.display.card import align_table
from mcp_notebook.display.html_parts import (
    DIM,
    FRAME,
    LINE,
    NO_MATH,
    PRE,
    SANS,
    code,
    dim,
    escape,
    tag,
)
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


# ---- the conversation: one row a turn, long results folded

FOLDED = 280  # characters of a text that stand unfolded
SAID = 8_000  # of one piece at most; the rest is said to be there
# JupyterLab lays tables of a set width out in fixed columns, one over the other.
LAYOUT = "border-collapse:collapse;margin:0;width:100%;table-layout:auto"
_WHO = {"user": "you", "assistant": "Claude"}

Piece = Mapping[str, Any]  # {turn, role, kind, text}


def history_bundle(pieces: Sequence[Piece], caption: str) -> dict[str, str]:
    """The mime bundle of `%claude_history`. `caption`: what it takes of the model's window."""
    turns = [
        list(group) for _, group in groupby(pieces, key=lambda piece: piece["turn"])
    ]
    rows = "".join(
        tag("tr", _turn_row(number, turn), f"border-bottom:1px solid {LINE}")
        for number, turn in enumerate(turns, 1)
    )
    table = tag("table", tag("tbody", rows), f"{SANS};{LAYOUT}")
    framed = tag(
        "div", table, f"{FRAME};border-radius:6px;margin:4px 0;width:100%", NO_MATH
    )
    whole = tag("div", framed + dim(escape(caption)))
    plain = "\n\n".join(
        _turn_text(number, turn) for number, turn in enumerate(turns, 1)
    )
    return {"text/html": whole, "text/plain": f"{plain}\n\n{caption}"}


def _who(turn: Sequence[Piece]) -> str:
    if all(piece["kind"] == "tool_result" for piece in turn):
        return "tools"
    return _WHO[turn[0]["role"]]


def _turn_row(number: int, turn: Sequence[Piece]) -> str:
    said = "".join(map(_said_html, turn))
    narrow = "width:1%;white-space:nowrap"
    cells = (
        (str(number), f"{DIM};{narrow}"),
        (tag("b", _who(turn)), narrow),
        (said, "white-space:normal"),
    )
    style = "padding:6px 10px;vertical-align:top;text-align:left"
    return "".join(
        tag("td", inner, f"{style};{more}", ' align="left"') for inner, more in cells
    )


def _said_html(piece: Piece) -> str:
    text = visible(piece["text"], lines=True)
    if piece["kind"] == "tool_use":
        return tag(
            "div",
            code(escape(clip(text, SAID)), "overflow-wrap:anywhere"),
            "margin:2px 0",
        )
    if piece["kind"] == "text" and len(text) <= FOLDED:
        return tag("div", escape(text), "white-space:pre-wrap;margin:2px 0")

    opening = clip(" ".join(text.split()), 100)
    size = byte_size(len(piece["text"].encode(errors="replace")))
    label = tag("summary", f"{escape(opening)} {dim(f'· {size}')}", "cursor:pointer")
    return tag(
        "details", label + tag("pre", escape(clip(text, SAID)), PRE), "margin:2px 0"
    )


def _turn_text(number: int, turn: Sequence[Piece]) -> str:
    who = _who(turn)
    lines = [clip(visible(piece["text"], lines=True), SAID) for piece in turn]
    return "\n".join(
        [
            f"{number} {who}:",
            *(f"  {line}" for text in lines for line in text.split("\n")),
        ]
    )
