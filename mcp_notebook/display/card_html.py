"""A card as static HTML: it reads whole in a saved notebook, without a kernel, scripts,
or even styles.

GitHub drops every style and class, so order and plain elements carry the meaning;
inline styles only add looks.
"""

import html

from mcp_notebook.display.call_view import (
    ARGUMENT,
    TEXT,
    Argument,
    CallView,
    ShownColumn,
    TableView,
    kept_arguments,
    preview_arguments,
)
from mcp_notebook.display.card_text import card_text
from mcp_notebook.display.chart.shapes import Drawing, svg
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
    tag,
)
from mcp_notebook.display.safe import escape, picture
from mcp_notebook.display.wording import (
    MARKS,
    badges,
    outcome,
    seen_by_claude,
    text_label,
    took,
    unshown_image_text,
)
from mcp_notebook.untrusted_text import clip, visible

ROWS = 10
COLUMNS = 24
_SYNTAX = {
    "k": "color:var(--jp-mirror-editor-keyword-color,#8250df);font-weight:600",
    "f": "color:var(--jp-mirror-editor-def-color,#3b7dd8)",
    "s": "color:var(--jp-mirror-editor-string-color,#c0504d)",
    "n": "color:var(--jp-mirror-editor-number-color,#2e8b57)",
    "c": "color:var(--jp-mirror-editor-comment-color,#808080);font-style:italic",
}
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
    is_open = " open" if expanded or record.status in {"error", "approval"} else ""
    summary = tag(
        "summary", _header(record, hint=not is_open), "cursor:pointer;padding:6px 12px"
    )
    body = tag("div", "".join(_sections(record)), "padding:2px 12px 12px")
    style = f"{SANS};border:1px solid {LINE};border-radius:6px;margin:6px 0;max-width:980px;overflow:hidden"
    marks = NO_MATH if not place else NO_MATH[:-1] + f' mcpn-card {place}"'
    return tag("details", summary + body, style, marks + is_open)


def small_line(text: str, *, mark: str = "", colour: str = "") -> dict[str, str]:
    """The bundle of one quiet line: a note, a footer, why a cell stopped. `mark` is a
    coloured sign before it.
    """
    plain = clip(visible(" ".join(text.split())), 1_000)
    sign = tag("b", mark, f"color:{colour};font-size:12px") + " " if mark else ""
    html = tag("div", sign + dim(escape(plain)), f"{SANS};margin:4px 0", NO_MATH)
    return {"text/html": html, "text/plain": f"{mark} {plain}" if mark else plain}


def _header(record: CallView, *, hint: bool) -> str:
    name = f"{escape(clip(visible(record.server), 80))}.<b>{escape(clip(visible(record.tool), 120))}</b>"
    rest = "flex:1 1 0;min-width:0;overflow:hidden;text-overflow:ellipsis;white-space:nowrap"
    line = code(escape(preview_arguments(record, 120)) if hint else "", f"{DIM};{rest}")
    ends = " · ".join(escape(text) for text in (outcome(record), took(record)) if text)
    row = " ".join([_mark(record), code(name, "white-space:nowrap"), line, dim(ends)])
    flex = "display:inline-flex;align-items:baseline;gap:8px;width:calc(100% - 18px);vertical-align:bottom"
    return tag("span", row, f"{flex};white-space:nowrap")


def _mark(record: CallView) -> str:
    colour = f"color:{COLOURS[record.status]}" if record.status in COLOURS else DIM
    return tag("b", MARKS[record.status], f"{colour};width:13px;text-align:center")


def _sections(record: CallView) -> list[str]:
    kept, more = kept_arguments(record)
    rows = [*map(_argument, kept), tag("div", dim(more)) if more else ""]
    if record.error:
        rows.append(_pre(record.error, COLOURS["error"]))
    elif record.message and record.status != "ok":
        rows.append(
            tag("div", escape(visible(record.message)), f"{DIM};margin-top:8px")
        )
    rows += [_table(view) for view in record.tables]
    if record.plain:
        label = text_label(record)
        rows.append(_fold_html(label, record.plain) if label else _pre(record.plain))
    rows += [tag("div", dim(escape(note)), "margin-top:4px") for note in record.notes]
    return [*rows, *(_image(mime, data) for mime, data in record.images), _seen_by_claude_html(record)]


def _argument(argument: Argument) -> str:
    label = dim(escape(argument.name), "font-size:11px")
    if argument.short:
        return tag("div", f"{label}: {code(escape(argument.text))}", "margin-top:6px")
    return tag("div", label + tag("pre", _colour_sql(argument), PRE), "margin-top:6px")


def _colour_sql(argument: Argument) -> str:
    left, pieces = ARGUMENT, []
    for kind, text in argument.parts:
        if left <= 0:
            break
        shown = escape(clip(text, left))
        pieces.append(tag("span", shown, _SYNTAX[kind]) if kind else shown)
        left -= len(text)
    return "".join(pieces)


def _pre(text: str, colour: str = "") -> str:
    style = f"{PRE};margin-top:10px" + (f";color:{colour}" if colour else "")
    return tag("pre", escape(visible(clip(text, TEXT), lines=True)), style)


def _table(view: TableView) -> str:
    columns = view.columns[:COLUMNS]
    head = tag("thead", tag("tr", "".join(map(_column_heading, columns))))
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
            grid + _chart(view.chart),
            "display:flex;flex-wrap:wrap;gap:10px 28px;align-items:flex-start",
        )
    return _caption(view) + grid + _remarks(view)


def _chart(drawing: Drawing) -> str:
    alt, size = (
        html.escape(drawing.alt),
        f' width="{drawing.width}" height="{drawing.height}"',
    )
    image = f'<img src="{svg(drawing)}" alt="{alt}"{size} style="max-width:100%;height:auto;display:block">'
    title = tag("div", escape(drawing.title), f"{DIM};font-size:12px;margin-bottom:4px")
    copy = tag(
        "div",
        code(
            escape(drawing.code),
            f"{DIM};font-size:11px;overflow-wrap:anywhere;white-space:normal",
        ),
    )
    return tag(
        "div",
        title + image + copy,
        f"flex:1 1 340px;max-width:{drawing.width}px;min-width:0",
    )


def _caption(view: TableView) -> str:
    name = tag("b", code(escape(view.name))) + " · " if view.name else ""
    marks = "".join(
        f" · <b>{escape(label)}</b>"
        for label, _ in badges(view.truncated, view.approximate)
    )
    return tag(
        "div",
        name + tag("span", escape(view.shape) + marks, DIM),
        "margin:14px 0 6px;font-size:12px",
    )


def _column_heading(column: ShownColumn) -> str:
    side = "right" if column.numeric else "left"
    kind = dim(escape(column.kind), "font-weight:normal;font-size:10px")
    return tag(
        "th",
        f"{escape(column.name)}<br>{kind}",
        f"text-align:{side};white-space:nowrap",
        f' align="{side}"',
    )


def _cell(value: str | None, column: ShownColumn) -> str:
    side = "right" if column.numeric else "left"
    text = tag("i", "NULL", DIM) if value is None else escape(clip(value, _CELL))
    return tag("td", text, f"text-align:{side};white-space:nowrap", f' align="{side}"')


def _remarks(view: TableView) -> str:
    shown, across = min(ROWS, len(view.rows)), min(COLUMNS, len(view.columns))
    lines = [f"first {shown} of {view.total:,} rows"] if view.total > shown else []
    if view.width > across:
        lines.append(f"first {across} of {view.width:,} columns")
    lines += [view.truncated] if view.truncated else []
    return "".join(
        tag("div", dim(escape(line)), "margin-top:4px")
        for line in (*lines, *view.notes)
    )


def _image(mime: str, data: str) -> str:
    url = picture(mime, data)
    if url is None:
        return tag("div", dim(escape(unshown_image_text(mime, data))), "margin-top:10px")
    return f'<div style="margin-top:10px"><img src="{url}" alt="image from the tool" style="max-width:100%"></div>'


def _seen_by_claude_html(record: CallView) -> str:
    if not record.shown or not record.tables:
        return ""
    return _fold_html(f"What Claude saw · {seen_by_claude(record)}", record.shown)


def _fold_html(label: str, text: str) -> str:
    return tag(
        "details",
        tag("summary", dim(label), f"{DIM};cursor:pointer") + _pre(text),
        "margin-top:10px",
    )
