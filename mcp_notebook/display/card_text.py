"""A card as text: what a terminal, a diff, a reader of the raw notebook or a language
model sees.
"""

import unicodedata
from collections.abc import Sequence

from mcp_notebook.display.call_view import (
    ARGUMENT,
    TEXT,
    Argument,
    CallView,
    TableView,
    kept_arguments,
)
from mcp_notebook.display.wording import ASIDE, MARKS, badges, outcome, text_label, took
from mcp_notebook.untrusted_text import clip, visible

ROWS = 10
CELL = 32
WIDTH = 118  # columns of the text
WHOLE = 60_000  # characters


def card_text(record: CallView) -> str:
    """The whole card as text without trailing line end."""
    ends = [outcome(record), took(record)]
    head = f"{MARKS[record.status]} {clip(visible(record.server), 80)}.{clip(visible(record.tool), 120)}"
    lines = [" · ".join([head, *(end for end in ends if end)])]
    kept, more = kept_arguments(record)
    for text in (*map(_argument, kept), more):
        lines += _indented(text) if text else []
    if record.error:
        lines += _indented(visible(clip(record.error, TEXT), lines=True))
    for view in record.tables:
        lines += ["", *_indented(_table(view))]
    if record.plain:
        # A long text beside tables tells of them: its beginning is enough where nothing
        # can be unfolded.
        room = ASIDE if text_label(record) else TEXT
        lines += ["", *_indented(visible(clip(record.plain, room), lines=True))]
    return clip(
        "\n".join([*lines, *(f"    {note}" for note in record.notes)]).rstrip(), WHOLE
    )


def aligned(
    header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool] = ()
) -> str:
    """A text table: columns aligned, `right` ones to the right, wide characters counted as two."""
    sides = [*right, *(False for _ in header)]
    widths = [max(map(width, column)) for column in zip(header, *rows, strict=True)]
    rule = ["-" * size for size in widths]
    body = [
        [
            _padded(cell, size, side)
            for cell, size, side in zip(row, widths, sides, strict=False)
        ]
        for row in (header, *rows)
    ]
    return "\n".join("  ".join(row).rstrip() for row in (body[0], rule, *body[1:]))


def width(text: str) -> int:
    """Columns of a terminal that the text takes."""
    return sum(
        2
        if unicodedata.east_asian_width(c) in "WF"
        else 0
        if unicodedata.combining(c)
        else 1
        for c in text
    )


def _padded(text: str, size: int, right: bool) -> str:
    space = " " * (size - width(text))
    return space + text if right else text + space


def _argument(argument: Argument) -> str:
    pad = "\n" + " " * (len(argument.name) + 2)
    return f"{argument.name}: {clip(argument.text, ARGUMENT).replace(chr(10), pad)}"


def _indented(text: str) -> list[str]:
    return [f"    {line}".rstrip() for line in text.split("\n")]


def _table(view: TableView) -> str:
    shown = _fitting(view)
    header = [clip(column.name, CELL) for column in view.columns[:shown]]
    rows = [
        ["NULL" if value is None else clip(value, CELL) for value in row[:shown]]
        for row in view.rows[:ROWS]
    ]
    title = f"{view.name}: {view.shape}" if view.name else view.shape
    table = (
        [aligned(header, rows, [column.numeric for column in view.columns[:shown]])]
        if header
        else []
    )
    return "\n".join([title, *table, *_remarks(view, shown)])


def _fitting(view: TableView) -> int:
    """How many columns fit the width of the text, at least one."""
    room = WIDTH
    for at, column in enumerate(view.columns):
        cells = [
            column.name,
            *("NULL" if row[at] is None else row[at] or "" for row in view.rows[:ROWS]),
        ]
        room -= min(CELL, max(map(width, cells))) + 2
        if room < 0:
            return max(1, at)
    return len(view.columns)


def _remarks(view: TableView, columns: int) -> list[str]:
    hidden = view.total - min(ROWS, len(view.rows))
    lines = [f"… {hidden:,} more row" + "s" * (hidden != 1)] if hidden > 0 else []
    if view.width > columns:
        lines.append(
            f"… {view.width - columns:,} more columns: "
            + clip(", ".join(c.name for c in view.columns[columns:]), 80)
        )
    return [
        *lines,
        *(f"{label}: {why}" for label, why in badges(view.truncated, view.approximate)),
        *view.notes,
    ]
