"""A card that stays in the notebook, as static HTML and as text: it reads whole without
a kernel, scripts, or even styles.

GitHub drops every style and class, so order and plain elements carry the meaning;
inline styles only add looks.
"""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mcp_notebook.display.call_view import (
    ARGUMENT,
    ASIDE,
    MARKS,
    TEXT,
    Argument,
    CallView,
    ShownColumn,
    TableView,
    badges,
    count_of,
    kept_arguments,
    missing_image,
    outcome,
    preview_arguments,
    saved_took,
    seen_by_claude,
    text_label,
)
from mcp_notebook.display.html_parts import (
    COLOURS,
    DIM,
    FRAME,
    LINE,
    MONO,
    NO_MATH,
    PRE,
    SANS,
    code,
    dim,
    escape,
    picture,
    tag,
)
from mcp_notebook.untrusted_text import clip, visible

if TYPE_CHECKING:
    from mcp_notebook.charts.drawing import Drawing

ROWS = 10
COLUMNS = 24
_SYNTAX = {
    "k": "color:var(--jp-mirror-editor-keyword-color,#8250df);font-weight:600",
    "f": "color:var(--jp-mirror-editor-def-color,#3b7dd8)",
    "s": "color:var(--jp-mirror-editor-string-color,#c0504d)",
    "n": "color:var(--jp-mirror-editor-number-color,#2e8b57)",
    "c": "color:var(--jp-mirror-editor-comment-color,#808080);font-style:italic",
}
_REST = (
    "flex:1 1 0;min-width:0;overflow:hidden;text-overflow:ellipsis;white-space:nowrap"
)
_ROW = (
    "display:inline-flex;align-items:baseline;gap:8px;width:calc(100% - 18px);"
    "vertical-align:bottom"
)
_FIT = "max-width:100%;height:auto;display:block"
_CELL = 80  # characters; styles a cell would weigh more than its text


def render_call(
    record: CallView, *, expanded: bool = False, place: str = ""
) -> dict[str, str]:
    """The mime bundle of a call that stays in the notebook: text/html and text/plain."""
    return {
        "text/html": card_html(record, expanded=expanded, place=place),
        "text/plain": card_text(record),
    }


def card_html(record: CallView, *, expanded: bool = False, place: str = "") -> str:
    """The card as one `<details>` element; an error is open, anything else as `expanded` says.

    `place` is the class by which a page finds it while its kernel lives.
    """
    if expanded or record.status in {"error", "approval"}:
        is_open = " open"
    else:
        is_open = ""

    summary = tag(
        "summary",
        _header_html(record, hint=not is_open),
        "cursor:pointer;padding:6px 12px",
    )
    body = tag("div", "".join(_body_parts(record)), "padding:2px 12px 12px")
    frame = "border-radius:6px;margin:6px 0;max-width:980px;overflow:hidden"
    style = f"{SANS};border:1px solid {LINE};{frame}"
    if not place:
        marks = NO_MATH
    else:
        marks = NO_MATH[:-1] + f' mcpn-card {place}"'

    return tag("details", summary + body, style, marks + is_open)


def _header_html(record: CallView, *, hint: bool) -> str:
    server = escape(clip(visible(record.server), 80))
    tool = escape(clip(visible(record.tool), 120))
    name = code(f"{server}.<b>{tool}</b>", "white-space:nowrap")
    if hint:
        line = escape(preview_arguments(record, 120))
    else:
        line = ""

    pieces = [outcome(record), saved_took(record)]
    ends = " · ".join(escape(text) for text in pieces if text)
    row = [_status_mark(record), name, code(line, f"{DIM};{_REST}"), dim(ends)]
    return tag("span", " ".join(row), f"{_ROW};white-space:nowrap")


def _body_parts(record: CallView) -> list[str]:
    """What stands below the header, in order."""
    kept, more = kept_arguments(record)
    rows = [*map(_argument_html, kept)]
    if more:
        rows.append(tag("div", dim(more)))

    if record.error:
        rows.append(_text_box(record.error, COLOURS["error"]))
    elif record.message and record.status != "ok":
        message = escape(visible(record.message))
        rows.append(tag("div", message, f"{DIM};margin-top:8px"))

    rows += map(_table_html, record.tables)
    if record.plain:
        label = text_label(record)
        rows.append(_fold(label, record.plain) if label else _text_box(record.plain))

    rows += [tag("div", dim(escape(note)), "margin-top:4px") for note in record.notes]
    rows += [_image_html(mime, data) for mime, data in record.images]
    rows += map(_code_html, record.charts)
    if record.shown and record.tables:
        seen = f"What Claude saw · {seen_by_claude(record)}"
        rows.append(_fold(seen, record.shown))

    return rows


def _status_mark(record: CallView) -> str:
    if record.status in COLOURS:
        colour = f"color:{COLOURS[record.status]}"
    else:
        colour = DIM
    return tag("b", MARKS[record.status], f"{colour};width:13px;text-align:center")


def _argument_html(argument: Argument) -> str:
    label = dim(escape(argument.name), "font-size:11px")
    if argument.short:
        return tag("div", f"{label}: {code(escape(argument.text))}", "margin-top:6px")
    return tag(
        "div", label + tag("pre", _colour_parts(argument), PRE), "margin-top:6px"
    )


def _colour_parts(argument: Argument) -> str:
    left, pieces = ARGUMENT, []
    for kind, text in argument.parts:
        if left <= 0:
            break

        shown = escape(clip(text, left))
        pieces.append(tag("span", shown, _SYNTAX[kind]) if kind else shown)
        left -= len(text)

    return "".join(pieces)


def _text_box(text: str, colour: str = "") -> str:
    style = f"{PRE};margin-top:10px" + (f";color:{colour}" if colour else "")
    return tag("pre", escape(visible(clip(text, TEXT), lines=True)), style)


def _table_html(view: TableView) -> str:
    columns = view.columns[:COLUMNS]
    head = tag("thead", tag("tr", "".join(map(_column_head, columns))))
    rows = (tag("tr", "".join(map(_cell, row, columns))) for row in view.rows[:ROWS])
    table = tag(
        "table",
        head + tag("tbody", "".join(rows)),
        f"border-collapse:collapse;margin:0;font-size:12px;{MONO}",
    )
    grid = tag("div", table, f"{FRAME};border-radius:4px")
    if view.chart is not None:  # beside the table where there is room
        grid = tag(
            "div",
            grid + _chart_html(view.chart),
            "display:flex;flex-wrap:wrap;gap:10px 28px;align-items:flex-start",
        )

    return _caption(view) + grid + _remarks_html(view)


def _chart_html(drawing: Drawing) -> str:
    alt = html.escape(visible(drawing.alt))
    # the width alone: a narrow page keeps the picture's shape
    size = f' width="{drawing.width}"'
    image = f'<img src="{drawing.url}" alt="{alt}"{size} style="{_FIT}">'
    title = clip(visible(drawing.title), 120)
    head = tag("div", escape(title), f"{DIM};font-size:12px;margin-bottom:4px")
    style = f"flex:0 1 auto;max-width:{drawing.width}px;min-width:0"
    return tag("div", head + image + _code_html(drawing), style)


def _code_html(drawing: Drawing) -> str:
    if not drawing.code:
        return ""

    return _fold("Altair code", drawing.code)


def _caption(view: TableView) -> str:
    """Name and shape of a table, and what it is not."""
    if view.name:
        name = tag("b", code(escape(view.name))) + " · "
    else:
        name = ""

    marks = ""
    for label, _ in badges(view.truncated, view.approximate):
        marks += f" · <b>{escape(label)}</b>"

    shape = tag("span", escape(view.shape) + marks, DIM)
    return tag("div", name + shape, "margin:14px 0 6px;font-size:12px")


def _column_head(column: ShownColumn) -> str:
    small = "font-weight:normal;font-size:10px"
    lines = [escape(column.name), dim(escape(column.kind), small)]
    lines += [dim(escape(line), small) for line in column.stats if line]
    return _cell_html("th", "<br>".join(lines), column)


def _cell(value: str | None, column: ShownColumn) -> str:
    if value is None:
        text = tag("i", "NULL", DIM)
    else:
        text = escape(clip(value, _CELL))
    return _cell_html("td", text, column)


def _cell_html(kind: str, inner: str, column: ShownColumn) -> str:
    # GitHub drops styles and keeps `align`
    if column.numeric:
        side = "right"
    else:
        side = "left"
    style = f"text-align:{side};white-space:nowrap"
    return tag(kind, inner, style, f' align="{side}"')


def _remarks_html(view: TableView) -> str:
    shown, across = min(ROWS, len(view.rows)), min(COLUMNS, len(view.columns))
    lines = []
    if view.total > shown:
        lines.append(f"first {shown} of {view.total:,} rows")

    if view.width > across:
        lines.append(f"first {across} of {view.width:,} columns")

    if view.truncated:
        lines.append(view.truncated)

    rows = [dim(escape(line)) for line in (*lines, *view.notes)]
    return "".join(tag("div", row, "margin-top:4px") for row in rows)


def _image_html(mime: str, data: str) -> str:
    url = picture(mime, data)
    if url is None:
        return tag("div", dim(escape(missing_image(mime, data))), "margin-top:10px")
    image = f'<img src="{url}" alt="image from the tool" style="max-width:100%">'
    return tag("div", image, "margin-top:10px")


def _fold(label: str, text: str) -> str:
    return tag(
        "details",
        tag("summary", dim(label), f"{DIM};cursor:pointer") + _text_box(text),
        "margin-top:10px",
    )


# ---- as text: what a terminal, a diff, a reader of the raw notebook or a language model
# sees

CELL = 32
WIDTH = 118  # columns of the text
WHOLE = 60_000  # characters


def card_text(record: CallView) -> str:
    """The whole card as text without trailing line end."""
    lines = [_header_text(record)]
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


def _header_text(record: CallView) -> str:
    server, tool = clip(visible(record.server), 80), clip(visible(record.tool), 120)
    name = f"{MARKS[record.status]} {server}.{tool}"
    pieces = [name, outcome(record), saved_took(record)]
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

    return "\n".join([*lines, *_remarks_text(view, len(columns))])


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


def _remarks_text(view: TableView, columns: int) -> list[str]:
    lines = []
    hidden = view.total - min(ROWS, len(view.rows))
    if hidden > 0:
        lines.append(f"… {count_of(hidden, 'more row')}")

    if view.width > columns:
        names = clip(", ".join(column.name for column in view.columns[columns:]), 80)
        lines.append(f"… {view.width - columns:,} more columns: {names}")

    lines += [
        f"{label}: {why}" for label, why in badges(view.truncated, view.approximate)
    ]

    return [*lines, *view.notes]
