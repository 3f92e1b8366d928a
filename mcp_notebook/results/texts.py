"""One text: which format it is. Strict formats first, CSV last; an error report is none of them."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mcp_notebook.results import content, error_detection, readers
from mcp_notebook.results.bounds import check_time
from mcp_notebook.results.formats import delimited, tagged
from mcp_notebook.results.reading import (
    Confidence,
    Raw,
    Rejected,
    Taken,
    find_left,
    write_left,
)
from mcp_notebook.results.values import json_tables, jsontext, large_lists

_DEEPEST_TEXT = 3  # texts in values in texts
_COLOUR = re.compile(r"\x1b\[[\d;]{0,40}[mK]")
_PARAGRAPHS = re.compile(r"\n(?:[ \t\r]*\n)+")
_MOST_WORDS, _LONGEST_WORDS = 4, 3  # paragraphs around a table, lines of each
_LONG, _PIECE = 64 * 1024, 6 * 1024  # characters
# What opens on a line and may end far below: a value, a fence, a tag.
_OPENS = re.compile(
    r"^[ \t]*(?:[\[{(]+[ \t]*$|[\[{(]+[ \t]*[\"'{\[(]|```|<[\w?!]|"
    r"[\w.]+[ \t]*[:=]?[ \t]*[\[{(]+[ \t]*$)",
    re.MULTILINE,
)
# What begins a table or a value, or rules off its names, wherever it stands.
_MARKS = ("<table", "\n```", "\n[{", '\n{"', "\n{'", "|-", "-|", "| -", "-+-", "│")
_CELL_BORDERS = re.compile(r"[,|\t;]|  +")
# Keys whose text is the result, when all else beside it is a scalar.
_LEAVES = frozenset(
    "result results output csv tsv content text data response body json rows table "
    "markdown stdout value payload answer html message formatted records "
    "query_result".split()
)
_WRAPPERS = frozenset({"result", "output", "content", "text"})
_BLOCK_KEYS = frozenset({"type", "text", "annotations", "_meta", "meta"})


@dataclass(frozen=True)
class Findings:
    """What one text or value gave: tables as raw columns, or an error, or nothing;
    `meta` is the envelope, `left` what of it no table took, `told` the text without the
    pictures that stood in it (None when there were none).
    """

    raws: tuple[Raw, ...] = ()
    reader: str = ""
    rest: str = ""
    error: str | None = None
    confidence: Confidence = "none"
    meta: Mapping[str, Any] = field(default_factory=dict)
    rejected: Rejected = ()
    notes: tuple[str, ...] = ()
    left: tuple[Any, ...] = ()
    pictures: tuple[content.Picture, ...] = ()
    told: str | None = None

    @property
    def tells(self) -> bool:
        """Whether there is a table or an error."""
        return bool(self.raws) or self.error is not None

    def after(self, rejected: Iterable[tuple[str, str]]) -> Findings:
        """The same, with the readers that were asked before and did not take it."""
        return replace(self, rejected=(*rejected, *self.rejected))


# --- texts


def read_text(text: str, *, selected: Sequence[str] = (), depth: int = 0) -> Findings:
    """The tables, the error or the nothing in one text."""
    if not text.lstrip("\ufeff \t\r\n"):  # unlike strip, lstrip seldom copies
        return Findings(rejected=(("text", "blank"),))
    found = _read_large(text, selected, depth)
    return found or _read_format(_unquote(text), selected, depth)


def _read_large(text: str, selected: Sequence[str], depth: int) -> Findings | None:
    """A long list of records by the fast readers, None when they do not vouch for it."""
    cut = large_lists.cut_to_sample(text)
    if cut is None:
        return None

    found = _read_format(cut.text, selected, depth)
    raw = large_lists.fill_sample(found.raws, cut.table)
    return raw and replace(found, raws=(raw,))


def _unquote(text: str) -> str:
    """Without a terminal's colours, and out of the quotes when the whole text is one
    JSON string.
    """
    if text.lstrip().startswith('"') and text.rstrip().endswith('"') and "\\" in text:
        with contextlib.suppress(ValueError, RecursionError):
            inner = json.loads(text)
            text = inner if isinstance(inner, str) and inner.strip() else text

    return _COLOUR.sub("", text) if "\x1b[" in text else text


def _read_format(text: str, selected: Sequence[str], depth: int) -> Findings:
    """A whole text: a value of JSON or Python, an error report, a long CSV, or one of
    the other formats.
    """
    rejected: list[tuple[str, str]] = []
    for reader, parse in (("json", jsontext.parse), ("python", readers.parse_python)):
        parsed = parse(text)
        if isinstance(parsed, str):
            rejected.append((reader, parsed))
            continue

        found = read_value(
            parsed.value, reader, rest=parsed.rest, selected=selected, depth=depth
        )
        return found.after(rejected)

    # Before all formats, which take a report of several lines for rows.
    if not _has_header(text, selected):
        error = error_detection.error_in_text(text)
        if error is not None:
            return Findings(reader="guard", error=error, rejected=tuple(rejected))

    # A long CSV is proved at once, and each of the formats would go through it first.
    taken = delimited.read_large_csv(text)
    if taken is not None:
        return _taken_by("csv", taken).after(rejected)

    if _is_plain(text, selected, depth):
        rejected.append(("text", "no table at its beginning, middle and end"))
        return Findings(rejected=tuple(rejected))

    return _ask_readers(text, selected, depth).after(rejected)


def _is_plain(text: str, selected: Sequence[str], depth: int) -> bool:
    """Whether a long text is none of the formats by three pieces of it: a log of a
    megabyte need not go through each of them whole.

    A piece cannot tell what only the whole says: a value or a markup that begins in it
    and ends elsewhere, and lines that are longer than it.
    """
    if len(text) < _LONG or "\n" not in text[:_PIECE]:
        return False
    if _OPENS.search(text, 0, _PIECE) or any(mark in text for mark in _MARKS):
        return False

    middle = text.find("\n", len(text) // 2) + 1
    last = text.find("\n", len(text) - _PIECE) + 1
    pieces = [text[at : at + _PIECE].rpartition("\n")[0] for at in (0, middle, last)]
    found = (_ask_readers(piece, selected, depth) for piece in pieces)
    return not any(item.tells for item in found)


def _has_header(text: str, selected: Sequence[str]) -> bool:
    """Whether the first line is the columns of the statement, so that one named "error"
    reports none.
    """
    if not selected:
        return False

    line = text.lstrip("\ufeff\r\n").partition("\n")[0].strip(" |\r")
    names = [name.strip(' "') for name in _CELL_BORDERS.split(line)]
    return line != "" and names == list(selected)


def _ask_readers(text: str, selected: Sequence[str], depth: int) -> Findings:
    """What the first reader of a format that takes the text found."""
    inner = _read_wrapped(text, selected, depth)
    # What stands in a fence or a tag is meant as the result; the prose around it is not.
    if inner is not None:
        return inner

    rejected: list[tuple[str, str]] = []
    for reader in readers.all_readers():
        check_time()
        answer = reader.read(text, selected)
        if isinstance(answer, Taken):
            return _taken_by(reader.name, answer).after(rejected)

        if isinstance(answer, readers.FoundValue):
            found = _tables_of_value(answer, reader.name, selected, depth)
            if isinstance(found, Findings):
                return found.after(rejected)

            answer = found

        rejected.append((reader.name, answer))

    return _read_paragraph(text, selected, depth) or Findings(rejected=tuple(rejected))


def _read_paragraph(text: str, selected: Sequence[str], depth: int) -> Findings | None:
    """The table in one paragraph of a few, which stands between words: a sentence above,
    a line of a log below.
    """
    if depth >= _DEEPEST_TEXT or "\n\n" not in text.replace("\r", ""):
        return None

    pieces = [piece for piece in _PARAGRAPHS.split(text) if piece.strip()]
    longest = max(pieces, key=lambda piece: (piece.count("\n"), len(piece)))
    words = [piece for piece in pieces if piece is not longest]
    if not words or len(words) > _MOST_WORDS:
        return None
    if any(piece.count("\n") >= _LONGEST_WORDS for piece in words):
        return None

    found = read_text(longest, selected=selected, depth=_DEEPEST_TEXT)
    if not found.raws or found.confidence == "low":
        return None

    # what nothing but blanks or commas hold apart, prose holds apart as well
    return replace(found, rest="\n\n".join([*words, *filter(None, [found.rest])]))


def _taken_by(reader: str, taken: Taken) -> Findings:
    return Findings(taken.raws, reader, taken.rest, None, taken.confidence, taken.meta)


def _tables_of_value(
    answer: readers.FoundValue, reader: str, selected: Sequence[str], depth: int
) -> Findings | str:
    """The tables or the error of a value among prose, or the reason why it has neither."""
    found = read_value(
        answer.value, reader, rest=answer.rest, selected=selected, depth=depth
    )
    if not answer.lone_record and _is_only_record(found.raws, answer.value):
        return "one object among prose is no table"

    return found if found.tells else answer.no_table


def _read_wrapped(text: str, selected: Sequence[str], depth: int) -> Findings | None:
    """The tables of fenced blocks or of a tag's body; None when they hold none."""
    if depth >= _DEEPEST_TEXT:
        return None

    bodies, rest = tagged.find_wrapped_texts(text)
    raws: list[Raw] = []
    meta: dict[str, Any] = {}
    rests, unread, left = [rest], [], []
    first = None
    for item in bodies:
        found = read_text(item.body, selected=selected, depth=depth + 1)
        if not found.raws:
            unread.append(item.body)
            continue

        if first is None:
            first = replace(found, reader=f"{found.reader} in {item.wrapping}")

        raws += found.raws
        meta |= found.meta
        left += found.left
        rests.append(found.rest)

    if first is None:
        return None

    around = "\n".join(filter(None, [*rests, *unread]))
    return replace(first, raws=tuple(raws), rest=around, meta=meta, left=tuple(left))


# --- values


def read_value(
    value: Any,
    reader: str,
    *,
    rest: str = "",
    selected: Sequence[str] = (),
    depth: int = 0,
) -> Findings:
    """The tables of a parsed value, its error, or what a text inside it holds."""
    check_time()
    value, pictures = content.take_pictures(value)
    if pictures:
        found = read_value(value, reader, rest=rest, selected=selected, depth=depth)
        told = join(rest, write_left(value, 0))
        return replace(found, pictures=(*found.pictures, *pictures), told=told)

    value = unwrap_blocks(value)
    if isinstance(value, str):
        if depth >= _DEEPEST_TEXT:
            return Findings()
        return read_text(value, selected=selected, depth=depth + 1)

    if _may_report_error(value):
        error = error_detection.error_in_value(value, tuple(selected))
        if error is not None:
            return Findings(reader="guard", error=error)

    meta = value[0] if json_tables.holds_page(value) else value
    meta = meta if isinstance(meta, dict) else {}
    raws = json_tables.tables_in(value, selected=selected)
    # An envelope with a CSV in it looks like one row, whose cell is that text.
    if isinstance(raws, str) or _is_only_record(raws, value):
        inner = _read_leaf(value, selected, depth)
        if inner is not None:
            return _put_in_envelope(inner, value, meta)

    if isinstance(raws, str):
        return Findings(rest=rest, rejected=((reader, raws),), meta=meta)

    is_json = reader.startswith("json")
    left = find_left(value, raws)
    raws = tuple(replace(raw, json=is_json, took=()) for raw in raws)
    return Findings(
        raws, reader, rest, None, "high", meta, left=() if left is None else (left,)
    )


def _may_report_error(value: Any) -> bool:
    """Whether the guard need look at a value: not at an object of several keys of which
    none tells of an outcome.
    """
    if not isinstance(value, dict) or len(value) == 1:
        return True

    lowered = {str(key).lower().replace("-", "_") for key in value}
    return not error_detection.TELLING_KEYS.isdisjoint(lowered)


def _put_in_envelope(inner: Findings, value: Any, meta: Mapping[str, Any]) -> Findings:
    """What the one text of an envelope gave, and the entries beside that text."""
    leaf = _find_leaf(value)
    beside = {key: item for key, item in value.items() if item is not leaf}
    left = (beside, *inner.left) if inner.raws else ()
    return replace(inner, meta={**meta, **inner.meta}, left=left)


def join(*pieces: str) -> str:
    """The pieces that are not blank, each on its lines."""
    return "\n".join(piece for piece in pieces if piece.strip())


def unwrap_blocks(value: Any) -> Any:
    """Content blocks inside a value, as some frameworks wrap them, are their text."""
    while isinstance(value, dict) and len(value) == 1:
        key = next(iter(value))
        if key not in _WRAPPERS:
            break

        value = value[key]

    if _is_text_block(value):
        return value["text"]
    if not isinstance(value, list) or not value or not all(map(_is_bare_block, value)):
        return value

    return "\n".join(item["text"] for item in value)


def _is_bare_block(value: Any) -> bool:
    return _is_text_block(value) and value.keys() <= _BLOCK_KEYS


def _is_text_block(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.get("type") == "text"
        and isinstance(value.get("text"), str)
    )


def _read_leaf(value: Any, selected: Sequence[str], depth: int) -> Findings | None:
    """What the one long text of an envelope holds, None when that is nothing."""
    if depth >= _DEEPEST_TEXT or not isinstance(value, dict):
        return None
    if selected and set(value) == set(selected):
        return None  # a row of the statement, whose text is a cell

    leaf = _find_leaf(value)
    if leaf is None:
        return None

    inner = read_text(leaf, selected=selected, depth=depth + 1)
    return inner if inner.tells else None


def _find_leaf(value: dict[str, Any]) -> str | None:
    """The one long text of an envelope whose other entries are scalars: `{"csv": "…",
    "rows": 3}`.
    """
    if any(isinstance(item, (dict, list)) and item for item in value.values()):
        return None

    texts = {key: item for key, item in value.items() if isinstance(item, str)}
    long = [key for key, text in texts.items() if _may_hold_more(text)]
    keys = {str(key).lower() for key in value}
    is_leaf = len(long) == 1 and (
        str(long[0]).lower() in _LEAVES or not keys.isdisjoint(json_tables.OUTCOME)
    )
    return value[long[0]] if is_leaf else None


def _may_hold_more(text: str) -> bool:
    """Whether a text is more than a word: has lines, or begins as a value does."""
    return "\n" in text or text.startswith(("[", "{"))


def _is_only_record(raws: tuple[Raw, ...], value: Any) -> bool:
    """Whether the one table is the object itself as one row."""
    is_row = isinstance(value, dict) and [raw.rows for raw in raws] == [1]
    return is_row and set(raws[0].names or ()) == set(value)


def error_of_json(text: str) -> str | None:
    """The message in a JSON error object, or None."""
    parsed = jsontext.parse(text)
    if isinstance(parsed, str):
        return None
    return error_detection.error_in_value(parsed.value)
