"""A tool result of any origin (SDK object, wire JSON, snake case) as plain parts, and the
pictures that stand in its texts and values.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import mimetypes
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

from mcp_notebook.untrusted_text import clip, visible

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


@dataclass(frozen=True)
class Resource:
    """An embedded resource, or a link when it holds neither text nor blob (base64)."""

    uri: str
    mime: str = ""
    name: str = ""
    text: str | None = None
    blob: str | None = None

    @property
    def is_link(self) -> bool:
        """Whether its content is elsewhere."""
        return self.text is None and self.blob is None


@dataclass(frozen=True)
class ResultParts:
    """One tool result, sorted by kind; `unknown` names content types that we do not know."""

    is_error: bool = False
    structured: Any = None
    texts: tuple[str, ...] = ()
    images: tuple[tuple[str, str], ...] = ()
    resources: tuple[Resource, ...] = ()
    unknown: tuple[str, ...] = ()
    broken: str = ""

    @property
    def size(self) -> int:
        """Bytes of text, images and blobs, roughly as received."""
        # base64 is counted as it came: it is the bytes received that are limited
        held = [*self.texts, *(data for _, data in self.images)]
        held += [item.text or "" for item in self.resources]
        held += [item.blob or "" for item in self.resources]
        return sum(map(len, held))


def parts_of(result: object) -> ResultParts:
    """Sort a `CallToolResult`, or its JSON, into parts; `broken` says why it is no tool result."""
    if result is None:
        return ResultParts(broken="the reply is not a tool result: it is null")

    if isinstance(result, bytes):
        result = result.decode("utf-8", "replace")
    if isinstance(result, str):
        return ResultParts(texts=(result,))

    # each name as JSON has it, and as the SDK's objects do
    content = _get(result, "content")
    structured = _get(result, "structuredContent", "structured_content")
    if content is None and structured is None:
        return ResultParts(
            broken="the reply is not a tool result: it has neither content nor structuredContent"
        )
    if isinstance(content, str):
        return ResultParts(
            broken="the reply's content is a string where a list of blocks belongs",
            texts=(content,),
        )

    blocks = () if content is None else content
    if isinstance(blocks, Mapping) or not isinstance(blocks, Iterable):
        return ResultParts(broken="the reply's content is not a list of blocks")

    is_error = bool(_get(result, "isError", "is_error"))
    return _sort_blocks(list(blocks), structured, is_error)


def _sort_blocks(blocks: list[Any], structured: Any, is_error: bool) -> ResultParts:
    texts: list[str] = []
    images: list[tuple[str, str]] = []
    resources: list[Resource] = []
    unknown: list[str] = []
    for block in blocks:
        kind = _get(block, "type")
        if kind == "text":
            texts.append(str(_get(block, "text") or ""))
        elif kind in ("image", "audio"):  # both are shown, neither is read
            mime = _get_text(block, "mimeType", "mime_type")
            images.append((mime, _get_text(block, "data")))
        elif kind == "resource":
            resources.append(_read_embedded(_get(block, "resource")))
        elif kind == "resource_link":
            mime = _get_text(block, "mimeType", "mime_type")
            name = _get_text(block, "name")
            resources.append(Resource(_get_text(block, "uri"), mime, name))
        else:
            # the name is the server's, and stands in a note
            unknown.append(str(kind)[:40])

    return ResultParts(
        is_error,
        structured,
        tuple(texts),
        tuple(images),
        tuple(resources),
        tuple(unknown),
    )


def file_name(item: Resource) -> str:
    """What a resource would be called as a file, without a folder."""
    path = urlsplit(item.uri).path or item.uri
    last = unquote(path).replace("\\", "/").rstrip("/").rpartition("/")[2]
    name = item.name or last
    if "." in name or not item.mime:
        return name or "file"

    mime = item.mime.partition(";")[0].strip()
    family, _, kind = mime.partition("/")
    ending = mimetypes.guess_extension(mime)
    if ending is None:
        ending = f".{kind}" if kind.isalnum() else ""

    return (name or family) + ending


def describe_file(file: Resource) -> str:
    """`report.pdf (application/pdf, 12 kB)`: a file in one line of visible text."""
    kind = file.mime or "of no named type"
    if file.is_link:
        size = "a link"
    elif file.text is not None:
        size = f"{len(file.text.encode('utf-8', 'replace')):,} bytes"
    else:
        size = f"{len(file.blob or '') * 3 // 4:,} bytes"
    return f"file {visible(clip(file_name(file), 120))} ({visible(clip(kind, 60))}, {size})"


def files_in(result: Any, rejected: Iterable[tuple[str, str]]) -> tuple[Resource, ...]:
    """What came or was linked and gave no table: documents, sound, files elsewhere.

    `rejected`: what a reading says of it.
    """
    parts = parts_of(result)
    unread = {why.partition(": ")[0] for by, why in rejected if by == "resource"}
    found = [
        item
        for item in parts.resources
        if item.uri in unread and (item.is_link or item.blob is not None)
    ]
    sounds = [
        Resource("", mime, blob=data)
        for mime, data in parts.images
        if not mime.startswith("image/")
    ]
    return (*found, *sounds)


def _read_embedded(resource: object) -> Resource:
    text, blob = _get(resource, "text"), _get(resource, "blob")
    if text is None and blob is None:
        blob = ""  # empty content, which is no link

    return Resource(
        _get_text(resource, "uri"),
        _get_text(resource, "mimeType", "mime_type"),
        text=None if text is None else str(text),
        blob=None if blob is None else str(blob),
    )


def contents_of(answer: object) -> tuple[Resource, ...]:
    """The parts of a `resources/read` answer, which a `fetch` callable returned (or
    plain bytes or text).
    """
    if isinstance(answer, str):
        return (Resource("", text=answer),)

    contents = _get(answer, "contents")
    if not isinstance(contents, Iterable):
        return ()

    return tuple(map(_read_embedded, contents))


def _get_text(value: object, *names: str) -> str:
    found = _get(value, *names)
    return "" if found is None else str(found)


def _get(value: object, *names: str) -> Any:
    """The first of the entries, or attributes of an object of the SDK, that is there."""
    if isinstance(value, Mapping):
        entries = map(value.get, names)
    else:
        entries = (getattr(value, name, None) for name in names)

    return next((entry for entry in entries if entry is not None), None)


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
    # each result comes through here: a plain loop, without a generator a value
    level = [value]
    while level:
        inner: list[Any] = []
        for item in level:
            if isinstance(item, str):
                if item == "image" or _looks_like_picture(item):
                    return True
            elif isinstance(item, dict):
                if "image" in item:
                    return True
                inner += itertools.islice(item.values(), _SEARCHED)
            elif isinstance(item, (list, tuple)):
                inner += item[:_SEARCHED]

        level = inner

    return False


def scalars_in(value: Any) -> Iterator[Any]:
    """All scalars of a value and all keys, level by level."""
    level = [value]
    while level:
        inner: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                yield from item
                inner += item.values()
            elif isinstance(item, (list, tuple)):
                inner += item
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


# An SVG without what runs, loads or holds HTML: a drawing of a server's is shown to the
# person, and drawn for the model.

_DRAWN = frozenset(
    """
    svg g path rect circle ellipse line polyline polygon text tspan textPath defs use
    symbol marker clipPath mask pattern linearGradient radialGradient stop title desc
    image style filter feGaussianBlur feOffset feMerge feMergeNode feColorMatrix feBlend
    feFlood feComposite metadata
    """.split()
)


def _strip(root: ElementTree.Element) -> None:
    # Not by recursion: how deep a drawing is nested, the server says.
    ahead = [root]
    while ahead:
        node = ahead.pop()
        for child in list(node):
            if str(child.tag).rpartition("}")[2] in _DRAWN:
                ahead.append(child)
            else:
                node.remove(child)

        if str(node.tag).endswith("style") and _LOADS.search(node.text or ""):
            node.text = ""
        for name, value in list(node.attrib.items()):
            if not _is_harmless(name, value):
                del node.attrib[name]


# Elements; a plot of ten thousand points has some 20,000.
MOST_DRAWN = 300_000
# Each round follows one more `use` inside of a `use`; twice as many each time, they
# pass the limit before the last.
_ROUNDS = 20


def _count_drawn(root: ElementTree.Element) -> int:
    """The elements that are drawn, those that `use` repeats each time; of a circle, more
    than there are.
    """
    nodes = list(root.iter())
    named = {f"#{node.get('id')}": node for node in nodes if node.get("id")}
    linked = [node for node in nodes if str(node.tag).endswith("use")]
    used = {node: named.get(_find_link(node), node) for node in linked}
    sizes: dict[ElementTree.Element, int] = {}
    for _ in range(_ROUNDS):
        before = sizes.get(root, 0)
        known, sizes = sizes, {}
        for node in reversed(nodes):  # children stand behind their parent
            repeats = known.get(used[node], 0) if node in used else 0
            sizes[node] = 1 + repeats + sum(map(sizes.__getitem__, node))
        if sizes[root] == before or sizes[root] > MOST_DRAWN:
            break

    return sizes[root]


def _find_link(node: ElementTree.Element) -> str:
    for name, value in node.attrib.items():
        if name.rpartition("}")[2] == "href":
            return value.strip()
    return ""


def _is_harmless(name: str, value: str) -> bool:
    plain = name.rpartition("}")[2].lower()
    if plain == "href":
        # a drawing inside of a drawing would not be looked at
        return _HARMLESS_LINK.match(value.strip()) is not None

    return not plain.startswith("on") and not _LOADS.search(value)


_HARMLESS_LINK = re.compile(r"#|data:image/(?!svg)", re.IGNORECASE)
_STANDARD = re.compile(r"<!DOCTYPE[^\[>]*>", re.IGNORECASE)
_LOADS = re.compile(
    r"@import|javascript:|expression\(|url\(\s*['\"]?(?!#)", re.IGNORECASE
)


def clean_svg(
    text: str,
    change: Callable[[str], str] | None = None,
    *,
    most: int = MOST_DRAWN,
    sides: tuple[float, float] | None = None,
) -> bytes | None:
    """An SVG with nothing in it that runs or loads; None for what is none, is broken or
    draws more than `most` elements. `change` is made to its words, `sides` (width and
    height in pixels) become its own.
    """
    # Plotting libraries write a document type that names the standard; one that
    # declares entities, which may grow without end, stays and is refused.
    text = _STANDARD.sub("", text, count=1)
    if "<!ENTITY" in text or "<!DOCTYPE" in text.upper():
        return None

    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - without entities
    except (ValueError, ElementTree.ParseError):
        return None

    if root.tag.rpartition("}")[2] != "svg":
        return None

    _strip(root)
    if _count_drawn(root) > most:
        return None

    if change is not None:
        _change_words(root, change)

    if sides is not None:
        root.set("width", f"{sides[0]:g}")
        root.set("height", f"{sides[1]:g}")

    ElementTree.register_namespace("", "http://www.w3.org/2000/svg")
    try:
        return ElementTree.tostring(root)
    except RecursionError:  # nested deeper than any drawing
        return None


def _change_words(root: ElementTree.Element, change: Callable[[str], str]) -> None:
    for node in root.iter():
        for name in ("text", "tail"):
            words = getattr(node, name)
            if words and words.strip():
                setattr(node, name, change(words))


def svg_sides(text: str) -> tuple[float, float] | None:
    """Width and height of a drawing in its own pixels, by its root's attributes; None
    where it says neither those nor a view box.
    """
    opening = _SVG_ROOT.search(text[:20_000])
    if opening is None:
        return None

    said = dict(_ATTRIBUTE.findall(opening[0]))
    sides = [_LENGTH.fullmatch(said.get(name, "")) for name in ("width", "height")]
    found = [float(side[1]) for side in sides if side is not None]
    if len(found) < 2:
        numbers = re.findall(r"-?\d+(?:\.\d+)?", said.get("viewBox", ""))
        found = [float(number) for number in numbers[2:4]]

    if len(found) < 2 or min(found) <= 0:
        return None

    return found[0], found[1]


_SVG_ROOT = re.compile(r"<svg\b[^>]*>")
_ATTRIBUTE = re.compile(r"""\b(width|height|viewBox)\s*=\s*["']([^"'<>]{0,100})["']""")
_LENGTH = re.compile(r"\s*(\d+(?:\.\d+)?)(?:px|pt|pc|mm|cm|in)?\s*")
