"""The conversation as the model has it, for reading: one row a turn, long results folded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

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
from mcp_notebook.display.wording import byte_size
from mcp_notebook.untrusted_text import clip, visible

FOLDED = 280  # characters of a text that stand unfolded
TEXT = 8_000  # of one piece at most; the rest is said to be there
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
        tag("tr", _row(number, turn), f"border-bottom:1px solid {LINE}")
        for number, turn in enumerate(turns, 1)
    )
    table = tag("table", tag("tbody", rows), f"{SANS};{LAYOUT}")
    html = tag(
        "div", table, f"{FRAME};border-radius:6px;margin:4px 0;width:100%", NO_MATH
    ) + dim(escape(caption))
    plain = "\n\n".join(_plain(number, turn) for number, turn in enumerate(turns, 1))
    return {"text/html": tag("div", html), "text/plain": f"{plain}\n\n{caption}"}


def _who(turn: Sequence[Piece]) -> str:
    if all(piece["kind"] == "tool_result" for piece in turn):
        return "tools"
    return _WHO[turn[0]["role"]]


def _row(number: int, turn: Sequence[Piece]) -> str:
    said = "".join(map(_piece, turn))
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


def _piece(piece: Piece) -> str:
    text = visible(piece["text"], lines=True)
    if piece["kind"] == "tool_use":
        return tag(
            "div",
            code(escape(clip(text, TEXT)), "overflow-wrap:anywhere"),
            "margin:2px 0",
        )
    if piece["kind"] == "text" and len(text) <= FOLDED:
        return tag("div", escape(text), "white-space:pre-wrap;margin:2px 0")

    opening = clip(" ".join(text.split()), 100)
    size = byte_size(len(piece["text"].encode(errors="replace")))
    label = tag("summary", f"{escape(opening)} {dim(f'· {size}')}", "cursor:pointer")
    return tag(
        "details", label + tag("pre", escape(clip(text, TEXT)), PRE), "margin:2px 0"
    )


def _plain(number: int, turn: Sequence[Piece]) -> str:
    who = _who(turn)
    lines = [clip(visible(piece["text"], lines=True), TEXT) for piece in turn]
    return "\n".join(
        [
            f"{number} {who}:",
            *(f"  {line}" for text in lines for line in text.split("\n")),
        ]
    )
