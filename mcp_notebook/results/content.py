"""A tool result of any origin (SDK object, wire JSON, snake case) as plain parts."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from mcp_notebook.untrusted_text import clip, visible


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
        held = sum(map(len, self.texts))
        held += sum(len(data) for _, data in self.images)
        for item in self.resources:
            held += len(item.text or "") + len(item.blob or "")

        return held


def parts_of(result: object) -> ResultParts:
    """Sort a `CallToolResult`, or its JSON, into parts; `broken` says why it is no tool result."""
    if result is None:
        return ResultParts(broken="the reply is not a tool result: it is null")

    if isinstance(result, (str, bytes)):
        if isinstance(result, str):
            text = result
        else:
            text = result.decode("utf-8", "replace")

        return ResultParts(texts=(text,))

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

    if content is None:
        blocks = ()
    else:
        blocks = content

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
    if found is None:
        return ""
    return str(found)


def _get(value: object, *names: str) -> Any:
    """The first of the entries, or attributes of an object of the SDK, that is there."""
    for name in names:
        is_json = isinstance(value, Mapping)
        if is_json:
            found = value.get(name)
        else:
            found = getattr(value, name, None)

        if found is not None:
            return found

    return None
