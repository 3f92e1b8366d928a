"""One text: which format it is. Strict formats first, CSV last; an error report is none of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mcp_notebook.results import error_detection
from mcp_notebook.results.formats import (
    aligned,
    bare_rows,
    boxes,
    code_rows,
    columns_line,
    delimited,
    html_tables,
    inserts,
    latex,
    markdown,
    one_column,
    php_rows,
    printed,
    row_lines,
    ruled,
    toml_rows,
    toon,
    vertical,
    wiki,
    wrapped,
    xml_rows,
    yaml_rows,
)
from mcp_notebook.results.raw_table import Answer, Raw
from mcp_notebook.results.reading import Confidence, Rejected
from mcp_notebook.results.values import json_tables, jsontext, large, literal

_LEAF_DEPTH = 3
_COLOUR = re.compile(r"\x1b\[[\d;]{0,40}[mK]")
_BARE_CALLS = re.compile(r"\[[A-Z]\w*\(\w+=")
_LEAVES = {
    "result", "results", "output", "csv", "tsv", "content", "text", "data", "response", "body", "json", "rows", "table",
    "markdown", "stdout", "value", "payload", "answer", "html", "message", "formatted", "records", "query_result",
}  # fmt: skip


@dataclass(frozen=True)
class Found:
    """What one text or value gave: tables as raw columns, or an error, or nothing;
    `meta` is the envelope.
    """

    raws: tuple[Raw, ...] = ()
    reader: str = ""
    rest: str = ""
    error: str | None = None
    confidence: Confidence = "none"
    meta: Mapping[str, Any] = field(default_factory=dict)
    rejected: Rejected = ()
    notes: tuple[str, ...] = ()


def read(text: str, *, selected: Sequence[str] = (), depth: int = 0) -> Found:
    """The tables, the error or the nothing in one text."""
    if not text.lstrip("\ufeff \t\r\n"):  # unlike strip, lstrip seldom copies
        return Found(rejected=(("text", "blank"),))
    return _large(text, selected, depth) or _read(_undressed(text), selected, depth)


def _undressed(text: str) -> str:
    """Without a terminal's colours, and out of the quotes when the whole text is one
    JSON string.
    """
    if text.lstrip()[:1] == '"' and text.rstrip()[-1:] == '"' and "\\" in text:
        try:
            inner = json.loads(text)
        except (ValueError, RecursionError):
            inner = None
        text = inner if isinstance(inner, str) and inner.strip() else text
    return _COLOUR.sub("", text) if "\x1b[" in text else text


def _large(text: str, selected: Sequence[str], depth: int) -> Found | None:
    """A long list of records by the fast readers, None when they do not vouch for it."""
    cut = large.columns(text)
    if cut is None:
        return None
    found = _read(cut[0], selected, depth)
    raw = large.filled(found.raws, cut[1])
    return raw and replace(found, raws=(raw,))


def _read(text: str, selected: Sequence[str], depth: int) -> Found:
    rejected: list[tuple[str, str]] = []
    for reader, parse in (("json", jsontext.parse), ("python", python)):
        parsed = parse(text)
        if isinstance(parsed, str):
            rejected.append((reader, parsed))
            continue
        return _prefixed(
            from_value(
                parsed.value, reader, rest=parsed.rest, selected=selected, depth=depth
            ),
            rejected,
        )
    if (
        not _has_header(text, selected)
        and (error := error_detection.error_in_text(text)) is not None
    ):
        return Found(reader="guard", error=error, rejected=tuple(rejected))
    answer = delimited.large(text)
    if answer is not None:
        return Found(
            answer.raws,
            "csv",
            answer.rest,
            None,
            answer.confidence,
            answer.meta,
            tuple(rejected),
        )
    return _prefixed(_formats(text, selected, depth), rejected)


def _has_header(text: str, selected: Sequence[str]) -> bool:
    """Whether the first line is the columns of the statement, so that one named "error"
    reports none.
    """
    first = (
        text.lstrip("\ufeff\r\n").partition("\n")[0].strip(" |\r") if selected else ""
    )
    return bool(first) and [
        name.strip(' "') for name in re.split(r"[,|\t;]|  +", first)
    ] == list(selected)


def _formats(text: str, selected: Sequence[str], depth: int) -> Found:
    rejected: list[tuple[str, str]] = []
    if (inner := _wrapped(text, selected, depth)) is not None:
        return inner
    for reader, parse in _table_readers(selected):
        answer = parse(text)
        if isinstance(answer, str):
            rejected.append((reader, answer))
            continue
        return Found(
            answer.raws,
            reader,
            answer.rest,
            None,
            answer.confidence,
            answer.meta,
            tuple(rejected),
        )
    inside = jsontext.parse_inside(text)
    if not isinstance(inside, str):
        found = from_value(
            inside.value,
            "json in text",
            rest=inside.rest,
            selected=selected,
            depth=depth,
        )
        lone = _only_a_record(found.raws, inside.value) and not selected
        if found.error is not None or (found.raws and not lone):
            return _prefixed(found, rejected)
        inside = (
            "one object among prose is no table" if lone else "its JSON holds no table"
        )
    rejected.append(("json in text", inside))
    return _last_resort(text, selected, depth, rejected)


def _wrapped(text: str, selected: Sequence[str], depth: int) -> Found | None:
    """The tables of fenced blocks or of a tag's body; None when they hold none."""
    inside, rest = wrapped.bodies(text) if depth < _LEAF_DEPTH else ([], "")
    found = [
        (item, read(item.body, selected=selected, depth=depth + 1)) for item in inside
    ]
    taken = [(item, each) for item, each in found if each.raws]
    if not taken:
        return None
    item, first = taken[0]
    rests = [
        rest,
        *(each.rest for _, each in taken),
        *(item.body for item, each in found if not each.raws),
    ]
    return replace(
        first, raws=tuple(raw for _, each in taken for raw in each.raws), reader=f"{first.reader} in {item.wrapping}",
        rest="\n".join(filter(None, rests)), meta={key: value for _, each in taken for key, value in each.meta.items()},
    )  # fmt: skip


def _last_resort(
    text: str, selected: Sequence[str], depth: int, rejected: list[tuple[str, str]]
) -> Found:
    parsed = python_inside(text)
    if not isinstance(parsed, str):
        found = from_value(
            parsed.value,
            "python in text",
            rest=parsed.rest,
            selected=selected,
            depth=depth,
        )
        if found.raws or found.error is not None:
            return _prefixed(found, rejected)
        parsed = "its literal holds no table"
    rejected.append(("python in text", parsed))
    for reader, parse in (
        ("columns line", columns_line.read),
        ("csv", lambda body: delimited.csv(body, selected)),
        ("blanks", aligned.read),
    ):
        answer = parse(text)
        if not isinstance(answer, str):
            return Found(
                answer.raws,
                reader,
                answer.rest,
                None,
                answer.confidence,
                answer.meta,
                tuple(rejected),
            )
        rejected.append((reader, answer))
    return Found(rejected=tuple(rejected))


def _table_readers(
    selected: Sequence[str],
) -> tuple[tuple[str, Callable[[str], Answer]], ...]:
    return (
        ("code", lambda text: code_rows.read(text, selected)),
        ("records without quotes", lambda text: bare_rows.read(text, selected)),
        ("insert statements", inserts.read),
        ("php", php_rows.read),
        ("lines of one column", lambda text: one_column.named_lines(text, selected)),
        ("latex", latex.read),
        ("toml", lambda text: toml_rows.read(text, selected)),
        ("html", html_tables.read),
        ("wiki", wiki.read),
        ("markdown", markdown.read),
        ("boxed table", boxes.read),
        ("aligned table", lambda text: ruled.read(text, selected)),
        ("row lines", row_lines.read),
        ("vertical", vertical.read),
        ("toon", toon.read),
        ("yaml", yaml_rows.read),
        ("printed frame", printed.read),
        ("xml", xml_rows.read),
    )


def from_value(
    value: Any,
    reader: str,
    *,
    rest: str = "",
    selected: Sequence[str] = (),
    depth: int = 0,
) -> Found:
    """The tables of a parsed value, its error, or what a text inside it holds."""
    value = unwrapped(value)
    if isinstance(value, str):
        return (
            read(value, selected=selected, depth=depth + 1)
            if depth < _LEAF_DEPTH
            else Found()
        )
    if (error := error_detection.error_in_value(value, tuple(selected))) is not None:
        return Found(reader="guard", error=error)
    meta = value if isinstance(value, dict) else {}
    raws = json_tables.tables_in(value, selected=selected)
    leaf = None if selected and set(meta) == set(selected) else _text_leaf(value)
    if (
        leaf is not None
        and depth < _LEAF_DEPTH
        and (isinstance(raws, str) or _only_a_record(raws, value))
    ):
        inner = read(leaf, selected=selected, depth=depth + 1)
        if inner.raws or inner.error is not None:
            return replace(inner, meta={**meta, **inner.meta})
    if isinstance(raws, str):
        return Found(rest=rest, rejected=((reader, raws),), meta=meta)
    raws = tuple(replace(raw, json=reader.startswith("json")) for raw in raws)
    return Found(raws, reader, rest, None, "high", meta)


def unwrapped(value: Any) -> Any:
    """Content blocks inside a value, as some frameworks wrap them, are their text."""
    while (
        isinstance(value, dict)
        and len(value) == 1
        and next(iter(value)) in ("result", "output", "content", "text")
    ):
        value = next(iter(value.values()))
    if (
        isinstance(value, dict)
        and value.get("type") == "text"
        and isinstance(value.get("text"), str)
    ):
        return value["text"]
    if isinstance(value, list) and value and all(_is_block(item) for item in value):
        return "\n".join(item["text"] for item in value)
    return value


def _is_block(item: Any) -> bool:
    keys = {"type", "text", "annotations", "_meta", "meta"}
    return (
        isinstance(item, dict)
        and item.get("type") == "text"
        and isinstance(item.get("text"), str)
        and item.keys() <= keys
    )


def _text_leaf(value: Any) -> str | None:
    """The one long text of an envelope whose other entries are scalars: `{"csv": "…",
    "rows": 3}`.
    """
    if not isinstance(value, dict) or any(
        isinstance(item, (dict, list)) and item for item in value.values()
    ):
        return None
    long = [
        key
        for key, item in value.items()
        if isinstance(item, str) and ("\n" in item or item[:1] in ("[", "{"))
    ]
    about = {str(key).lower() for key in value} & json_tables.OUTCOME
    if len(long) != 1 or not (str(long[0]).lower() in _LEAVES or about):
        return None
    return value[long[0]]


def _only_a_record(raws: tuple[Raw, ...], value: Any) -> bool:
    return (
        isinstance(value, dict)
        and len(raws) == 1
        and raws[0].rows == 1
        and set(raws[0].names or ()) == set(value)
    )


def python(text: str) -> jsontext.Parsed | str:
    """A whole text that is one Python literal of brackets."""
    if not text.lstrip("\ufeff \t\r\n").startswith(("[", "{", "(")):
        return "does not start with a bracket"
    body = text.strip("\ufeff \t\r\n")
    try:
        value = literal.loads(body)
        if (
            _BARE_CALLS.match(body)
            and isinstance(value, list)
            and any(type(item) is str for item in value)
        ):
            return "calls whose values are not Python's"
        return jsontext.Parsed(value)
    except (ValueError, RecursionError, MemoryError) as error:
        return f"no Python literal: {str(error)[:80]}"


def python_inside(text: str) -> jsontext.Parsed | str:
    """A Python literal that begins a line of its own below or above prose."""
    lines = text.splitlines(keepends=True)
    at = 0
    for number, line in enumerate(lines[:40]):
        start = line.lstrip()
        if start.startswith(("[{", "[(", "[[", "{'", "((", "[]")):
            for end in (len(lines), number + 1):
                parsed = python("".join(lines[number:end]))
                if not isinstance(parsed, str):
                    rest = (text[:at] + "".join(lines[end:])).strip()
                    return parsed._replace(rest=rest, whole=False)
        at += len(line)
    return "no Python literal at the start of a line"


def error_of_json(text: str) -> str | None:
    """The message in a JSON error object, or None."""
    parsed = jsontext.parse(text)
    return (
        None
        if isinstance(parsed, str)
        else error_detection.error_in_value(parsed.value)
    )


def _prefixed(found: Found, rejected: Sequence[tuple[str, str]]) -> Found:
    return replace(found, rejected=(*rejected, *found.rejected)) if rejected else found
