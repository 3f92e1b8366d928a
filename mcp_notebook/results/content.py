"""A tool result of any origin (SDK object, wire JSON, snake case) as plain parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


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
class Parts:
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
        held = sum(
            len(item.text or "") + len(item.blob or "") for item in self.resources
        )
        return (
            sum(map(len, self.texts)) + sum(len(data) for _, data in self.images) + held
        )


def parts_of(result: object) -> Parts:
    """Sort a `CallToolResult`, or its JSON, into parts; `broken` says why it is no tool result."""
    if result is None:
        return Parts(broken="the reply is not a tool result: it is null")
    if isinstance(result, (str, bytes)):
        text = result if isinstance(result, str) else result.decode("utf-8", "replace")
        return Parts(texts=(text,))
    content = _get(result, "content")
    structured = _get(result, "structuredContent", "structured_content")
    if content is None and structured is None:
        return Parts(
            broken="the reply is not a tool result: it has neither content nor structuredContent"
        )
    if isinstance(content, str):
        return Parts(
            broken="the reply's content is a string where a list of blocks belongs",
            texts=(content,),
        )
    if content is not None and (
        isinstance(content, Mapping) or not isinstance(content, Iterable)
    ):
        return Parts(broken="the reply's content is not a list of blocks")
    return _sorted(
        list(content or ()), structured, bool(_get(result, "isError", "is_error"))
    )


def _sorted(blocks: list[Any], structured: Any, is_error: bool) -> Parts:
    texts: list[str] = []
    images: list[tuple[str, str]] = []
    resources: list[Resource] = []
    unknown: list[str] = []
    for block in blocks:
        kind = _get(block, "type")
        if kind == "text":
            texts.append(str(_get(block, "text") or ""))
        elif kind in ("image", "audio"):
            images.append(
                (_string(block, "mimeType", "mime_type"), _string(block, "data"))
            )
        elif kind == "resource":
            resources.append(_embedded(_get(block, "resource")))
        elif kind == "resource_link":
            resources.append(
                Resource(
                    _string(block, "uri"),
                    _string(block, "mimeType", "mime_type"),
                    _string(block, "name"),
                )
            )
        else:
            unknown.append(str(kind)[:40])
    return Parts(
        is_error,
        structured,
        tuple(texts),
        tuple(images),
        tuple(resources),
        tuple(unknown),
    )


def _embedded(resource: object) -> Resource:
    text, blob = _get(resource, "text"), _get(resource, "blob")
    return Resource(
        _string(resource, "uri"),
        _string(resource, "mimeType", "mime_type"),
        text=None if text is None else str(text),
        blob=str(blob) if blob is not None else None if text is not None else "",
    )


def contents_of(answer: object) -> tuple[Resource, ...]:
    """The parts of a `resources/read` answer, which a `fetch` callable returned (or
    plain bytes or text).
    """
    if isinstance(answer, str):
        return (Resource("", text=answer),)
    contents = _get(answer, "contents")
    return (
        tuple(_embedded(item) for item in contents)
        if isinstance(contents, Iterable)
        else ()
    )


def _string(value: object, *names: str) -> str:
    found = _get(value, *names)
    return "" if found is None else str(found)


def _get(value: object, *names: str) -> Any:
    for name in names:
        found = (
            value.get(name)
            if isinstance(value, Mapping)
            else getattr(value, name, None)
        )
        if found is not None:
            return found
    return None
