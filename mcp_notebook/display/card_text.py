"""A card as text: what a terminal, a diff, a reader of the raw notebook or a language
model sees.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from mcp_notebook.display.call_view import (
    ARGUMENT,
    TEXT,
    Argument,
    CallView,
    kept_arguments,
)
from mcp_notebook.display.shown_table import TableView, count_of
from mcp_notebook.display.wording import ASIDE, MARKS, badges, outcome, text_label, took
from mcp_notebook.untrusted_text import clip, visible

ROWS = 10
CELL = 32
WIDTH = 118  # columns of the text
WHOLE = 60_000  # characters


def card_text(record: CallView) -> str:
    """The whole card as text without trailing line end."""
    lines = [_header(record)]
    kept, more = kept_arguments(record)
    for argument in kept:
        lines += _indent(_argument_text(argument))

    if more:
        lines += _indent(more)

    if record.error:
        lines += _indent(visible(clip(record.error, TEXT), lines=True))

    for view in record.tables:
        lines += ["", *_indent(_table_text(view))]

    if record.plain:
        # A long text beside tables tells of them: its beginning is enough where nothing
        # can be unfolded.
        if text_label(record):
            room = ASIDE
        else:
            room = TEXT

        lines += ["", *_indent(visible(clip(record.plain, room), lines=True))]

    lines += [f"    {note}" for note in record.notes]
    return clip("\n".join(lines).rstrip(), WHOLE)


def _header(record: CallView) -> str:
    server, tool = clip(visible(record.server), 80), clip(visible(record.tool), 120)
    name = f"{MARKS[record.status]} {server}.{tool}"
    pieces = [name, outcome(record), took(record)]
    return " · ".join(piece for piece in pieces if piece)


def align_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool] = ()
) -> str:
    """A text table: `right` columns to the right, wide characters counted as two."""
    sides = [*right, *[False] * len(header)]
    widths = [max(map(width, column)) for column in zip(header, *rows, strict=True)]
    rule = ["-" * size for size in widths]
    lines = [_padded_row(header, widths, sides), "  ".join(rule).rstrip()]
    lines += [_padded_row(row, widths, sides) for row in rows]
    return "\n".join(lines)


def _padded_row(
    row: Sequence[str], widths: Sequence[int], right: Sequence[bool]
) -> str:
    cells = [_pad(*cell) for cell in zip(row, widths, right, strict=False)]
    return "  ".join(cells).rstrip()


def width(text: str) -> int:
    """Columns of a terminal that the text takes."""
    return sum(map(_character_width, text))


def _character_width(character: str) -> int:
    if unicodedata.east_asian_width(character) in "WF":
        return 2
    if unicodedata.combining(character):
        return 0
    return 1


def _argument_text(argument: Argument) -> str:
    """An argument whose further lines stand below its first one."""
    pad = "\n" + " " * (len(argument.name) + 2)
    return f"{argument.name}: {clip(argument.text, ARGUMENT).replace(chr(10), pad)}"


def _indent(text: str) -> list[str]:
    return [f"    {line}".rstrip() for line in text.split("\n")]


def _table_text(view: TableView) -> str:
    columns = view.columns[: _fitting_columns(view)]
    lines = [f"{view.name}: {view.shape}" if view.name else view.shape]
    if columns:
        header = [clip(column.name, CELL) for column in columns]
        rows = [_row_texts(row[: len(columns)]) for row in view.rows[:ROWS]]
        lines.append(align_table(header, rows, [column.numeric for column in columns]))

    return "\n".join([*lines, *_remarks(view, len(columns))])


def _row_texts(row: Sequence[str | None]) -> list[str]:
    return [clip(_cell_text(value), CELL) for value in row]


def _cell_text(value: str | None) -> str:
    if value is None:
        return "NULL"
    return value


def _fitting_columns(view: TableView) -> int:
    """How many columns fit the width of the text, at least one."""
    room = WIDTH
    for at, column in enumerate(view.columns):
        cells = [_cell_text(row[at]) for row in view.rows[:ROWS]]
        widest = max(map(width, [column.name, *cells]))
        room -= min(CELL, widest) + 2
        if room < 0:
            return max(1, at)

    return len(view.columns)


def _pad(text: str, size: int, right: bool) -> str:
    space = " " * (size - width(text))
    if right:
        return space + text
    return text + space


def _remarks(view: TableView, columns: int) -> list[str]:
    lines = []
    hidden = view.total - min(ROWS, len(view.rows))
    if hidden > 0:
        lines.append(f"… {count_of(hidden, 'more row')}")

    if view.width > columns:
        names = clip(", ".join(column.name for column in view.columns[columns:]), 80)
        lines.append(f"… {view.width - columns:,} more columns: {names}")

    for label, why in badges(view.truncated, view.approximate):
        lines.append(f"{label}: {why}")

    return [*lines, *view.notes]
