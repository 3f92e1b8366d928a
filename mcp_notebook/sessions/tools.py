"""A tool, its change and the outcome of a call, as plain values.

Tools are pinned when first seen; what a server later changes is shown as a diff, and
policy asks again.
"""

from __future__ import annotations

import asyncio
import difflib
import hashlib
import json
import re
import sys
import threading
import unicodedata
from collections.abc import (
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcp.types import (
        CallToolResult,
        CreateMessageRequestParams,
        CreateMessageResult,
        ElicitRequestParams,
        ElicitResult,
        Tool,
    )

    Elicit = Callable[[str, ElicitRequestParams], Awaitable["ElicitResult | Answered"]]
    Sample = Callable[
        [str, CreateMessageRequestParams],
        Awaitable[CreateMessageResult | dict[str, Any]],
    ]

# What a server may ask of us: answers from the person, a model's turn, the folders in use.
# accept, decline or cancel, and a form's values
Answered = tuple[str, dict[str, Any] | None]


@dataclass(frozen=True)
class SessionHooks:
    """Async callables that run on the background loop; each first gets the name of the
    server that asks.

    elicit: the person's answer to a form or a link; without it every question is
    declined. sample: a turn of the person's model (the result or its JSON); without it
    sampling is not declared. roots: the folders that the server may know; without it
    roots are not declared. authorize: shows the link of a sign-in; may return the
    address that the person was sent to and pasted.
    """

    elicit: Elicit | None = None
    sample: Sample | None = None
    roots: Callable[[str], Awaitable[Sequence[Path | str]]] | None = None
    authorize: Callable[[str, str], Awaitable[str | None]] | None = None


@dataclass(frozen=True)
class ToolInfo:
    """One tool as a server defines it. `annotations` are the server's claims; they grant nothing.

    `fingerprint` is the sha256 of the whole definition, so that an approval can be bound to it.
    """

    server: str
    name: str
    title: str
    description: str
    input_schema: dict[str, Any]
    output_schema: dict[str, Any] | None
    annotations: dict[str, Any]
    fingerprint: str
    # as it came, wire names
    definition: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True)
class CallOutcome:
    """What a tool call gave; a tool's own failure is an outcome too, with `result.is_error`.

    `received_bytes`: exact over stdio, elsewhere the size of texts and structured
    content. `warnings`: what was odd about the reply though its data was kept, for
    example an output schema not met.
    """

    result: CallToolResult
    seconds: float
    received_bytes: int
    warnings: tuple[str, ...] = ()


def make_tool_info(server: str, tool: Tool) -> ToolInfo:
    """Our value for a tool of the SDK."""
    definition = tool.model_dump(mode="json", by_alias=True, exclude_none=True)
    annotations = definition.get("annotations") or {}
    return ToolInfo(
        server=server,
        name=tool.name,
        title=tool.title or annotations.get("title") or "",
        description=tool.description or "",
        input_schema=definition.get("inputSchema") or {},
        output_schema=definition.get("outputSchema"),
        annotations=annotations,
        fingerprint=fingerprint(definition),
        definition=definition,
    )


def fingerprint(definition: Mapping[str, Any]) -> str:
    """sha256 over the canonical JSON of everything that the server says of the tool."""
    canonical = json.dumps(
        definition, sort_keys=True, separators=(",", ":"), ensure_ascii=True
    )
    return hashlib.sha256(canonical.encode()).hexdigest()


def size_of(result: CallToolResult) -> int:
    """Bytes of texts and blobs, or of the structured content when there is no text."""
    size = 0
    for block in result.content:
        inner = getattr(block, "resource", block)
        for name in ("text", "data", "blob"):
            value = getattr(inner, name, None)
            if isinstance(value, str):
                # Surrogates: JSON may hold halves of a letter, which UTF-8 has no bytes for.
                size += len(value.encode("utf-8", "surrogatepass"))

    if size == 0 and result.structured_content is not None:
        size = len(json.dumps(result.structured_content, default=str))

    return size


@dataclass(frozen=True)
class ToolChange:
    """A tool that is not what it was when the session first saw it; `after` is None
    when it went away.
    """

    name: str
    before: ToolInfo | None
    after: ToolInfo | None

    def diff(self) -> str:
        """Unified diff of the two definitions as indented JSON."""
        lines = difflib.unified_diff(
            _definition_lines(self.before),
            _definition_lines(self.after),
            "as approved",
            "as it is now",
            lineterm="",
            n=2,
        )
        return "\n".join(lines)


def find_changes(
    pinned: Mapping[str, ToolInfo], tools: Iterable[ToolInfo]
) -> tuple[ToolChange, ...]:
    """The tools whose definition differs from the pinned one; a tool never seen before
    is no change.
    """
    changes = []
    for tool in tools:
        before = pinned.get(tool.name)
        if before is not None and before.fingerprint != tool.fingerprint:
            changes.append(ToolChange(tool.name, before, tool))

    return tuple(changes)


def _definition_lines(tool: ToolInfo | None) -> list[str]:
    if tool is None:
        return []
    return json.dumps(tool.definition, indent=2, sort_keys=True).splitlines()


# What is odd in a tool's own words, for the person to judge: such words go to the model
# as they are.
#
# These are hints and no guard: nothing is allowed or refused because of them. Cases:
# Invariant Labs and CyberArk on tool poisoning, Trail of Bits on hidden characters.


ORDERS = re.compile(
    r"<\s*/?\s*(?:important|system|secret|instructions?|admin)\s*>"
    r"|\b(?:ignore|disregard|forget)\s+(?:all\s+|any\s+)?(?:the\s+)?(?:previous|prior|above"
    r"|other)\b"
    r"|\b(?:do\s+not|don't|never)\s+(?:tell|mention|inform|show|reveal)\b[^.]{0,40}\b(?:user"
    r"|person|human)\b"
    r"|\bbefore\s+(?:using|calling)\b[^.]{0,60}\b(?:read|send|open)\s+(?:the\s+|your\s+"
    r"|all\s+)?(?:files?|secrets?|keys?)\b"
    r"|~/\.(?:ssh|aws|env|config|netrc)|\bid_rsa\b|/etc/passwd",
    re.IGNORECASE,
)
# letters of another server's tool name that is looked for; shorter ones are ordinary
# words
LEAST = 5


def suspicions(
    tools: Iterable[ToolInfo], others: Mapping[str, Iterable[str]]
) -> list[str]:
    """One line for each tool with something odd; `others`: the tool names of the other
    connected servers.
    """
    named = {
        tool: server
        for server, tools_ in others.items()
        for tool in tools_
        if _is_telling(tool)
    }
    found = []
    for tool in tools:
        words = json.dumps(tool.definition, ensure_ascii=False)
        reasons = [
            *(
                ["has characters that cannot be seen"]
                if _has_hidden_letters(words)
                else []
            ),
            *(
                [f"gives orders in its description ({order[0][:40]!r})"]
                if (order := ORDERS.search(words))
                else []
            ),
            *_names_others(tool, words, named),
        ]
        if reasons:
            found.append(
                f"tool {tool.name!r} "
                f"{' and '.join(reasons)}; look at it with %mcp_tools {tool.server}"
            )

    return found


def _names_others(tool: ToolInfo, words: str, named: Mapping[str, str]) -> list[str]:
    hits = [
        other
        for other in named
        if other != tool.name and re.search(rf"(?<!\w){re.escape(other)}(?!\w)", words)
    ]
    if hits:
        return [f"names {named[hits[0]]}.{hits[0]}, a tool of another server"]

    return []


def _is_telling(name: str) -> bool:
    return len(name) >= LEAST and bool(re.search(r"[_\-.]|[a-z][A-Z]", name))


def _has_hidden_letters(words: str) -> bool:
    unescaped = words.replace("\\u001b", "\x1b")
    kinds = {letter: unicodedata.category(letter) for letter in set(unescaped)}
    return any(
        kind in ("Cf", "Co") or letter == "\x1b"
        for letter, kind in kinds.items()
        if letter not in "\u200c\u200d\ufeff"
    )


# Does a result meet the output schema that its tool declares? A mismatch is a warning;
# the data is kept.


SMALL = 100_000  # bytes checked on the loop itself; more is checked in a thread
# bytes not checked at all: checking costs five times what reading does
LARGE = 20_000_000


def import_in_background() -> None:
    """Import jsonschema in a thread: in an environment with JupyterLab that takes seconds."""
    threading.Thread(target=_import, name="mcp-notebook-warm", daemon=True).start()


async def schema_warning(
    tool: ToolInfo | None, result: CallToolResult, size: int
) -> str:
    """One sentence on what does not fit, or an empty one."""
    if tool is None or tool.output_schema is None or result.is_error:
        return ""
    if result.structured_content is None:
        return "the tool declares an output schema but sent no structured content"
    if size > LARGE:
        return ""
    if size > SMALL or not _is_warm():
        return await asyncio.to_thread(_check, _Schema(tool), result.structured_content)

    return _check(_Schema(tool), result.structured_content)


class _Schema:
    """A tool's output schema, hashable by the tool's fingerprint so that its validator
    is made once.
    """

    def __init__(self, tool: ToolInfo) -> None:
        self.schema, self.fingerprint = tool.output_schema or {}, tool.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Schema) and other.fingerprint == self.fingerprint


def _is_warm() -> bool:
    return hasattr(sys.modules.get("jsonschema"), "validators")


def _check(schema: _Schema, content: Any) -> str:
    try:
        error = next(_validator(schema).iter_errors(content), None)
    except Exception as failure:
        # boundary: a server's schema may be wrong in any way; its data is still data
        return f"the tool's output schema is not usable ({type(failure).__name__})"

    if error is None:
        return ""

    place = "/".join(str(part) for part in error.absolute_path) or "the top"
    return (
        "the structured content does not fit the tool's output "
        f"schema at {place} ({error.validator})"
    )


@lru_cache(maxsize=256)
def _validator(schema: _Schema) -> Any:
    # Slow to import, see import_in_background(), and jsonschema before what it needs.
    validators = _import().validators
    import referencing  # of jsonschema, and as slow

    base = validators.validator_for(schema.schema)
    base.check_schema(schema.schema)
    # Patterns come from the server and a regular expression can run for ever while holding the GIL.
    without_patterns = dict.fromkeys(
        ("pattern", "patternProperties", "unevaluatedProperties"), _pass
    )
    cls = validators.extend(
        base, {**without_patterns, "additionalProperties": _additional(base)}
    )
    # An empty registry: a $ref to the network is never fetched.
    return cls(schema.schema, registry=referencing.Registry())


# The grammar of IRIs that jsonschema loads for one format of texts takes more than a
# second to build, and no schema that was seen asks for it.
IRI_GRAMMAR = "rfc3987_syntax"
_importing = threading.Lock()


def _import() -> Any:
    # The package before its modules: two threads that begin at different ends would get
    # a half-made one.
    with _importing:
        loaded = "jsonschema" in sys.modules or IRI_GRAMMAR in sys.modules
        if loaded or find_spec(IRI_GRAMMAR) is None:
            return import_module("jsonschema")

        stand_in: Any = ModuleType(IRI_GRAMMAR)
        stand_in.is_valid_syntax = _is_iri
        sys.modules[IRI_GRAMMAR] = stand_in
        try:
            return import_module("jsonschema")
        finally:
            # Whoever else wants the grammar gets the real one.
            del sys.modules[IRI_GRAMMAR]


def _is_iri(rule: str, text: str) -> bool:
    """The grammar's own function, loaded when a format is checked."""
    return import_module(IRI_GRAMMAR).is_valid_syntax(rule, text)


def _pass(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
    return iter(())


def _additional(base: Any) -> Any:
    original = base.VALIDATORS.get("additionalProperties", _pass)

    def check(
        validator: Any, value: Any, instance: Any, schema: Mapping[str, Any]
    ) -> Iterator[Any]:
        if "patternProperties" in schema:
            return iter(())
        return original(validator, value, instance, schema) or iter(())

    return check
