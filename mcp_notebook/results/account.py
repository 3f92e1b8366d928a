"""The account of a result: every leaf (a scalar of the JSON, a line of a text, a block)
is in a table, in the text, among images, or named in a note.

A reader says what it took (`Raw.mark_taken`); what nobody took is the text that stands
beside the tables. So nothing is lost because a better-looking list stood next to it.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from mcp_notebook.results.reading import Raw, listing

_NOTHING = (None, "", [], {}, ())
_MOST_NOTES = 12
# Words of success and of a whole answer: the table itself says as much.
_GOOD = {
    **dict.fromkeys(["success", "ok", "succeeded"], True),
    **dict.fromkeys(["is_error", "iserror", "error"], False),
    **dict.fromkeys(["truncated", "is_truncated", "partial", "incomplete"], False),
    **dict.fromkeys(["has_more", "hasmore", "more"], False),
}
_COUNTS = frozenset("count total rows num n size length rowcount rowsaffected".split())
_WORDS = re.compile(r"[_\W]+")
_DONE = frozenset({"success", "ok", "succeeded", "completed", "complete", "200"})
_STATUS = frozenset({"status", "resultstatus"})
# How the base64 of a picture begins, where nothing else names its type.
_MAGIC = (
    ("iVBORw0KGgo", "image/png"),
    ("/9j/", "image/jpeg"),
    ("R0lGOD", "image/gif"),
    ("UklGR", "image/webp"),
)
_LEAST_PICTURE = 64
_DATA_URI = re.compile(
    r"!?(?:\[[^\]\n]{0,200}\]\()?"
    r"data:(image/[\w.+-]{1,40})(?:;[\w=-]{1,40})*;base64,([A-Za-z0-9+/=\s]{16,})\)?"
)
_SVG = re.compile(
    r"\A\s*(?:<\?xml[^>]*>\s*)?(?:<!DOCTYPE svg[^>]*>\s*)?(?:<!--.*?-->\s*)?<svg[\s>]",
    re.DOTALL,
)
# How base64 of a picture, an address that holds one and an SVG begin.
_PICTURE = re.compile(
    rf"{'|'.join(start for start, _ in _MAGIC)}|.{{0,2000}}?data:image/|{_SVG.pattern}",
    re.DOTALL,
)
_SVG_TYPE = "image/svg+xml"
_MEDIA_KEYS = ("mimeType", "mime_type", "media_type", "mediaType", "contentType")
_OF_BLOCK = frozenset({"type", "annotations", *_MEDIA_KEYS})
_SEARCHED = 64
_BYTES_KEYS = ("data", "blob", "base64", "image", "content", "body")

Picture = tuple[str, str]  # (mime type, base64), as `Reading.images` has them


# --- what is left


def find_left(value: Any, raws: Iterable[Raw]) -> Any:
    """A value without what its tables took: None when nothing is left."""
    took: dict[int, frozenset[str] | None] = {}
    for container, keys in itertools.chain.from_iterable(raw.took for raw in raws):
        known = took.get(id(container), frozenset())
        both = None if keys is None or known is None else known | keys
        took[id(container)] = both

    return _leave(value, took)


def _leave(value: Any, took: Mapping[int, frozenset[str] | None]) -> Any:
    if not isinstance(value, (dict, list, tuple)):
        return value

    keys = took.get(id(value), frozenset())
    if keys is None:
        return None
    if isinstance(value, dict):
        left = {}
        for key, item in value.items():
            kept = None if key in keys else _leave(item, took)
            if kept not in _NOTHING:
                left[str(key)] = kept

        return left or None

    # a list is an item with its place: one that is half taken is not renumbered
    items = [_leave(item, took) for item in value]
    return [item for item in items if item not in _NOTHING] or None


def write_left(left: Any, rows: int, known: Collection[str] = ()) -> str:
    """What is left of an envelope as one line of JSON, without what the table says
    itself: that it worked, how many rows it has, and texts that the caller sent
    (`known`).
    """
    if isinstance(left, dict):
        left = {
            str(key): item
            for key, item in left.items()
            if not _says_nothing_new(str(key).lower(), item, rows, known)
        }
    if left in _NOTHING:
        return ""
    if isinstance(left, str):
        return left

    return json.dumps(left, ensure_ascii=False, default=str)


def _says_nothing_new(key: str, item: Any, rows: int, known: Collection[str]) -> bool:
    match item:
        case bool():
            return _GOOD.get(key) is item
        case int():
            return item == rows and not _COUNTS.isdisjoint(_WORDS.split(key))
        case str():
            return item in known or (key in _STATUS and item.lower() in _DONE)

    return False


def note_beside(names: Iterable[str], place: str) -> str:
    """The note on entries that are in no table and in no text."""
    return f"{place} also has {listing(list(dict.fromkeys(names)), _MOST_NOTES)}"


# --- pictures


def is_svg(text: str) -> bool:
    """Whether a text is one picture drawn in SVG."""
    return text[:400].lstrip("\ufeff \t\r\n").startswith("<") and bool(
        _SVG.match(text[:4000])
    )


def svg_picture(text: str) -> Picture:
    """The picture that an SVG's text is."""
    return _SVG_TYPE, base64.b64encode(text.encode("utf-8", "replace")).decode()


def take_pictures(value: Any) -> tuple[Any, list[Picture]]:
    """A value without the pictures in it, and these: content blocks of images, base64
    of images, `data:` URIs, SVG. In rows a picture is a cell, and stays one.
    """
    pictures: list[Picture] = []
    if not _may_hold_picture(value):
        return value, pictures

    left = _without_pictures(value, pictures.append)
    if pictures:
        return left, pictures
    return value, pictures


def _may_hold_picture(value: Any) -> bool:
    """Whether a text of the value looks like one; of rows the first are looked at."""
    texts = (item for item in scalars_in(value, _SEARCHED) if isinstance(item, str))
    return any(text == "image" or _looks_like_picture(text) for text in texts)


def scalars_in(value: Any, most: int | None = None) -> Iterator[Any]:
    """All scalars of a value and all keys, level by level; with `most` only those of so
    many items of each container.
    """
    level = [value]
    while level:
        inner: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                yield from item
                inner += itertools.islice(item.values(), most)
            elif isinstance(item, (list, tuple)):
                inner += itertools.islice(item, most)
            else:
                yield item

        level = inner


def _looks_like_picture(text: str) -> bool:
    return len(text) >= _LEAST_PICTURE and _PICTURE.match(text) is not None


def _without_pictures(value: Any, keep: Callable[[Picture], None]) -> Any:
    if isinstance(value, str):
        picture = _picture_of_text(value)
        if picture is None:
            return value

        keep(picture)
        return f"({picture[0]})"

    if isinstance(value, list):
        return _list_without_pictures(value, keep)
    if not isinstance(value, dict):
        return value

    key, picture = _picture_of_block(value)
    if picture is not None:
        keep(picture)
        rest = {name: item for name, item in value.items() if name not in _OF_BLOCK}
        if not rest.keys() - {key}:
            return None

        return {**rest, key: f"({picture[0]})"}

    left = {}
    for name, item in value.items():
        kept = _without_pictures(item, keep)
        # a list of nothing but pictures is no empty table
        if kept or kept == item:
            left[name] = kept

    return left


def _list_without_pictures(
    items: list[Any], keep: Callable[[Picture], None]
) -> list[Any]:
    blocks = [item for item in items if isinstance(item, dict) and "type" in item]
    are_rows = len(items) > 1 and len(blocks) < len(items)
    if are_rows and all(isinstance(item, (dict, list)) for item in items):
        return items

    left = [_without_pictures(item, keep) for item in items]
    return [item for item in left if item is not None]


def _picture_of_text(text: str) -> Picture | None:
    if not _looks_like_picture(text):
        return None
    if is_svg(text):
        return svg_picture(text)

    uri = _DATA_URI.fullmatch(text.strip())
    if uri is not None:
        return uri[1], "".join(uri[2].split())

    kind = _find_magic(text)
    if kind and _is_base64(text):
        return kind, "".join(text.split())

    return None


def _picture_of_block(block: Mapping[str, Any]) -> tuple[str, Picture | None]:
    """`{"type": "image", "data": "…", "mimeType": "image/png"}` and its kin, also with
    the bytes in a `source`; and the key of the bytes.
    """
    source = block.get("source")
    if block.get("type") == "image" and isinstance(source, dict):
        _, picture = _picture_of_block({"type": "image", **source})
        return "source", picture

    declared = next((block[key] for key in _MEDIA_KEYS if key in block), "")
    is_picture = block.get("type") == "image" or str(declared).startswith("image/")
    if not is_picture:
        return "", None

    for key in filter(block.get, _BYTES_KEYS):
        data = str(block[key])
        found = _picture_of_text(data)
        if found is None and _is_base64(data):
            found = (str(declared) or "image/png", "".join(data.split()))
        if found is not None:
            return key, found

    return "", None


def _find_magic(text: str) -> str:
    head = text[:12]
    return next((kind for start, kind in _MAGIC if head.startswith(start)), "")


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def take_data_uris(text: str) -> tuple[str, list[Picture]]:
    """A text without the pictures in its `data:` URIs, and these."""
    pictures: list[Picture] = []
    if "data:image/" not in text:
        return text, pictures

    def take(found: re.Match[str]) -> str:
        pictures.append((found[1], "".join(found[2].split())))
        return f"({found[1]})"

    return _DATA_URI.sub(take, text), pictures
