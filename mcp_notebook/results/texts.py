"""One text: which format it is. Strict formats first, CSV last; an error report is none of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mcp_notebook.results import error_detection, readers
from mcp_notebook.results.formats import delimited, wrapped
from mcp_notebook.results.raw_table import Raw, Taken
from mcp_notebook.results.reading import Confidence, Rejected
from mcp_notebook.results.values import json_tables, jsontext, large

_LEAF_DEPTH = 3
_COLOUR = re.compile(r"\x1b\[[\d;]{0,40}[mK]")
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
    for reader, parse in (("json", jsontext.parse), ("python", readers.parse_python)):
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
        return _found_by("csv", answer, rejected)
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
    """What the first reader of a format that takes the text found."""
    if (inner := _wrapped(text, selected, depth)) is not None:
        return inner
    rejected: list[tuple[str, str]] = []
    for reader in readers.all_readers():
        answer = reader.read(text, selected)
        if isinstance(answer, Taken):
            return _found_by(reader.name, answer, rejected)
        if isinstance(answer, readers.FoundValue):
            found = _tables_of_value(answer, reader.name, selected, depth)
            if isinstance(found, Found):
                return _prefixed(found, rejected)
            answer = found
        rejected.append((reader.name, answer))
    return Found(rejected=tuple(rejected))


def _found_by(reader: str, taken: Taken, rejected: Sequence[tuple[str, str]]) -> Found:
    return Found(
        taken.raws,
        reader,
        taken.rest,
        None,
        taken.confidence,
        taken.meta,
        tuple(rejected),
    )


def _tables_of_value(
    answer: readers.FoundValue, reader: str, selected: Sequence[str], depth: int
) -> Found | str:
    """The tables or the error of a value among prose, or the reason why it has neither."""
    found = from_value(
        answer.value, reader, rest=answer.rest, selected=selected, depth=depth
    )
    if found.error is not None:
        return found
    if not answer.lone_record and _only_a_record(found.raws, answer.value):
        return "one object among prose is no table"
    return found if found.raws else answer.no_table


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
