"""The rules that the Messages API holds a request to, as one function for the fake server.

Sources: the API reference (errors and versioning, tool use, prompt caching) and
messages seen from the API in October 2026. The order of the checks is ours; each text
begins as the API's own. `typed_problem` is the SDK's own word on a request.
"""

import base64
import functools
import json
import re
from collections.abc import Iterator
from typing import Any

TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
PROPERTY_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
TOOL_USE_ID = re.compile(r"[a-zA-Z0-9_-]+")
FIELDS = frozenset(
    {
        "model",
        "messages",
        "max_tokens",
        "system",
        "tools",
        "tool_choice",
        "stream",
        "thinking",
        "metadata",
        "speed",
    }
    | {
        "stop_sequences",
        "service_tier",
        "cache_control",
        "output_config",
        "output_format",
        "context_management",
    }
    | {"container", "inference_geo", "mcp_servers", "betas"}
)
USER_BLOCKS = frozenset(
    {"text", "image", "document", "search_result", "tool_result", "container_upload"}
)
ASSISTANT_ONLY = frozenset(
    {"tool_use", "thinking", "redacted_thinking", "server_tool_use"}
)
MAX_BREAKPOINTS = 4
# https://platform.claude.com/docs/en/build-with-claude/vision
PICTURES = {
    "image/png": b"\x89PNG",
    "image/jpeg": b"\xff\xd8\xff",
    "image/gif": b"GIF8",
    "image/webp": b"RIFF",
}
MAX_PICTURE, MAX_PICTURES = 5 * 1024 * 1024, 100
MAX_REQUEST = 32 * 1024 * 1024
HALF = re.compile(r"[\ud800-\udfff]")

Block = dict[str, Any]


def refusal(body: dict[str, Any], *, counting: bool = False) -> str | None:
    """The API's message for the first broken rule, or None for a valid request
    (`counting`: for count_tokens).
    """
    for rule in (
        _unicode,
        _fields,
        _tools,
        _tool_choice,
        _thinking,
        _breakpoints,
        _roles,
        _blocks,
        _pictures,
        _pairs,
    ):
        for problem in rule(body):
            if counting and problem.startswith("max_tokens"):
                continue
            return problem
    return None


def typed_problem(body: dict[str, Any]) -> str | None:
    """What the SDK's own types of a request's parameters find wrong, or None."""
    from pydantic import ValidationError

    try:
        _exhaust(_typed_parameters().validate_python(body))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']} (typed parameters)"

    return None


@functools.cache
def _typed_parameters() -> Any:
    # slow to import, and who only asks for the rules does not need it
    from anthropic.types.message_create_params import MessageCreateParams
    from pydantic import TypeAdapter

    return TypeAdapter(MessageCreateParams)


def _exhaust(value: Any) -> None:
    """Take everything out of it: what the types call an Iterable is checked only then."""
    if isinstance(value, dict):
        for inner in value.values():
            _exhaust(inner)
    elif not isinstance(value, str | bytes) and hasattr(value, "__iter__"):
        for inner in value:
            _exhaust(inner)


@functools.lru_cache(maxsize=4096)
def _schema_problem(text: str) -> str:
    import jsonschema

    try:
        jsonschema.Draft202012Validator.check_schema(json.loads(text))
    except jsonschema.SchemaError as error:
        return error.message[:80]

    return ""


def _unicode(body: dict[str, Any]) -> Iterator[str]:
    text = json.dumps(body, ensure_ascii=False)
    if HALF.search(text):
        yield "The request body is not valid JSON: no low surrogate in string: line 1 column 1"
    if "NaN" in text or "Infinity" in text:
        try:
            json.dumps(body, allow_nan=False)
        except ValueError:
            yield "The request body is not valid JSON: unexpected character"

    if len(text) > MAX_REQUEST:
        yield "Request exceeds the maximum size"


def _pictures(body: dict[str, Any]) -> Iterator[str]:
    found = list(_find_pictures(body.get("messages"), "messages"))
    if len(found) > MAX_PICTURES:
        yield f"messages: too many images: {len(found)} > {MAX_PICTURES}"
    for where, source in found:
        kind, data = source.get("media_type"), source.get("data") or ""
        if kind not in PICTURES:
            yield f"{where}.source.base64.media_type: Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'"
        try:
            raw = base64.b64decode(data, validate=True)
        except ValueError:
            yield f"{where}.source.base64.data: invalid base64 data"
            continue
        if not raw:
            yield f"{where}.source.base64.data: image cannot be empty"
        elif not raw.startswith(PICTURES.get(kind, b"")):
            yield f"{where}.source.base64.data: Image does not match the provided media type {kind}"
        if len(data) > MAX_PICTURE:
            yield f"{where}.source.base64: image exceeds 5 MB maximum"


def _find_pictures(node: object, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, list):
        for i, inner in enumerate(node):
            yield from _find_pictures(inner, f"{where}.{i}")
    elif isinstance(node, dict):
        source = node.get("source")
        if node.get("type") == "image" and isinstance(source, dict):
            yield where, source
        yield from _find_pictures(node.get("content"), f"{where}.content")


def blocks_of(message: dict[str, Any]) -> list[Block]:
    """A message's content as blocks: a plain string is one text block."""
    content = message.get("content")
    return (
        [{"type": "text", "text": content}]
        if isinstance(content, str)
        else list(content or ())
    )


def _fields(body: dict[str, Any]) -> Iterator[str]:
    for name in ("model", "messages", "max_tokens"):
        if name not in body:
            yield f"{name}: Field required"
    for name in body:
        if name in ("temperature", "top_p", "top_k"):
            yield f"{name}: this parameter is not supported by API version 2026-10-21"
        elif name not in FIELDS:
            yield f"{name}: Extra inputs are not permitted"
    if not isinstance(body.get("max_tokens", 1), int) or body.get("max_tokens", 1) < 1:
        yield "max_tokens: Input should be greater than or equal to 1"
    if isinstance(body.get("system"), list):
        yield from (
            p for i, b in enumerate(body["system"]) for p in _text(b, f"system.{i}")
        )


def _tools(body: dict[str, Any]) -> Iterator[str]:
    names: set[str] = set()
    for i, tool in enumerate(body.get("tools") or ()):
        name, schema = tool.get("name", ""), tool.get("input_schema")
        if not TOOL_NAME.fullmatch(name):
            yield f"tools.{i}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"
        if name in names:
            yield "tools: Tool names must be unique."
        names.add(name)
        if tool.get("type", "custom") == "custom":
            yield from _schema(schema, f"tools.{i}.custom.input_schema")


def _schema(schema: object, where: str) -> Iterator[str]:
    if not isinstance(schema, dict):
        yield f"{where}: Field required"
        return
    if schema.get("type") != "object":
        yield f"{where}.type: Input should be 'object'"
    if any(key in schema for key in ("oneOf", "allOf", "anyOf")):
        yield f"{where}: input_schema does not support oneOf, allOf, or anyOf at the top level"
    problem = _schema_problem(json.dumps(schema, sort_keys=True))
    if problem:
        yield f"{where}: JSON schema is invalid. It must match JSON Schema draft 2020-12 ({problem})"
    if not all(PROPERTY_NAME.fullmatch(key) for key in schema.get("properties") or ()):
        yield f"{where}.properties: Property keys should match pattern '^[a-zA-Z0-9_.-]{{1,64}}$'"


def _tool_choice(body: dict[str, Any]) -> Iterator[str]:
    choice = body.get("tool_choice")
    if choice is None:
        return
    if not body.get("tools"):
        yield "tool_choice: tool_choice may only be specified while providing tools"
    kind = choice.get("type")
    if kind not in ("auto", "any", "tool", "none"):
        yield f"tool_choice: Input tag {kind!r} found using 'type' does not match any of the expected tags"
    if kind == "tool" and choice.get("name") not in [
        t.get("name") for t in body.get("tools") or ()
    ]:
        yield f"tool_choice: Tool '{choice.get('name')}' not found in provided tools"


def _thinking(body: dict[str, Any]) -> Iterator[str]:
    thinking = body.get("thinking") or {}
    if thinking.get("type") == "enabled":
        budget = thinking.get("budget_tokens", 0)
        if budget < 1024:
            yield "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"
        if budget >= body.get("max_tokens", 0):
            yield "max_tokens: `max_tokens` must be greater than `thinking.budget_tokens`"


def _breakpoints(body: dict[str, Any]) -> Iterator[str]:
    marked = list(_marked(body))
    if len(marked) > MAX_BREAKPOINTS:
        yield f"A maximum of 4 blocks with cache_control may be provided. Found {len(marked)}."
    for control in marked:
        if control.get("type") != "ephemeral" or control.get("ttl", "5m") not in (
            "5m",
            "1h",
        ):
            yield "cache_control: Input should be {'type': 'ephemeral', 'ttl': '5m' | '1h'}"
    lifetimes = [control.get("ttl", "5m") for control in marked]
    if lifetimes != sorted(lifetimes):  # "1h" sorts before "5m"
        yield "cache_control: a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block"


def _marked(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    system = body.get("system")
    places: list[Block] = [
        *(body.get("tools") or ()),
        *(system if isinstance(system, list) else ()),
    ]
    for message in body.get("messages") or ():
        for block in blocks_of(message):
            places.append(block)
            if isinstance(block.get("content"), list):
                places += [
                    inner for inner in block["content"] if isinstance(inner, dict)
                ]
    yield from (
        place["cache_control"]
        for place in [*places, body]
        if place.get("cache_control")
    )


def _roles(body: dict[str, Any]) -> Iterator[str]:
    messages = body.get("messages")
    if not messages:
        yield "messages: at least one message is required"
        return
    for i, message in enumerate(messages):
        if message.get("role") not in ("user", "assistant"):
            yield f"messages.{i}.role: Unexpected role {message.get('role')!r}"
        if not blocks_of(message):
            yield f"messages.{i}: all messages must have non-empty content"
    if messages[0].get("role") != "user":
        yield 'messages: first message must use the "user" role'
    # After `pause_turn` the reply goes back as it came and is continued; it ends with a
    # server's own tool.
    paused = (
        blocks_of(messages[-1])[-1:]
        and blocks_of(messages[-1])[-1].get("type") == "server_tool_use"
    )
    if messages[-1].get("role") != "user" and not paused:
        yield "This model does not support assistant message prefill. The conversation must end with a user message."


def _blocks(body: dict[str, Any]) -> Iterator[str]:
    for i, message in enumerate(body["messages"]):
        for k, block in enumerate(blocks_of(message)):
            where, kind = f"messages.{i}.content.{k}", block.get("type")
            yield from _text(block, where)
            if message["role"] == "user" and kind not in USER_BLOCKS:
                yield f"{where}: `{kind}` blocks are not permitted in `user` messages"
            if message["role"] == "assistant" and kind in USER_BLOCKS - {
                "text",
                "search_result",
            }:
                yield f"{where}: `{kind}` blocks are not permitted in `assistant` messages"
            if kind == "thinking" and not block.get("signature"):
                yield f"{where}.thinking.signature: Field required"
            if kind == "tool_result":
                yield from _result(block, where)
            if kind == "tool_use":
                yield from _use(block, where)


def _text(block: Block, where: str) -> Iterator[str]:
    if block.get("type") == "text" and not block.get("text"):
        yield f"{where}: text content blocks must be non-empty"
    elif block.get("type") == "text" and not block["text"].strip():
        yield f"{where}: text content blocks must contain non-whitespace text"


def _result(block: Block, where: str) -> Iterator[str]:
    inner = block.get("content")
    for k, part in enumerate(inner if isinstance(inner, list) else ()):
        yield from _text(part, f"{where}.content.{k}")
        if block.get("is_error") and part.get("type") != "text":
            yield f"{where}: all content must be type `text` if `is_error` is true"


def _use(block: Block, where: str) -> Iterator[str]:
    if not TOOL_USE_ID.fullmatch(block.get("id", "")):
        yield f"{where}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"
    if not TOOL_NAME.fullmatch(block.get("name", "")):
        yield f"{where}.tool_use.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"
    if not isinstance(block.get("input"), dict):
        yield f"{where}.tool_use.input: Input should be an object"


def _pairs(body: dict[str, Any]) -> Iterator[str]:
    waiting: set[str] = set()
    known: set[str] = set()
    for i, (role, blocks) in enumerate(_merged(body["messages"])):
        uses = [b["id"] for b in blocks if b["type"] == "tool_use"]
        answers = [b.get("tool_use_id") for b in blocks if b["type"] == "tool_result"]
        if (uses or answers) and not body.get("tools"):
            yield "Requests which include `tool_use` or `tool_result` blocks must define tools"
        if role == "assistant":
            if known & set(uses) or len(set(uses)) < len(uses):
                yield f"messages.{i}: `tool_use` ids must be unique"
            waiting, known = set(uses), known | set(uses)
            continue
        yield from _answers(i, blocks, answers, waiting)
        waiting = set()


def _answers(
    i: int, blocks: list[Block], answers: list[Any], waiting: set[str]
) -> Iterator[str]:
    if missing := waiting - set(answers):
        yield (
            f"messages.{i - 1}: `tool_use` ids were found without `tool_result` blocks immediately after: "
            f"{', '.join(sorted(missing))}. Each `tool_use` block must have a corresponding `tool_result` block "
            "in the next message."
        )
    if unknown := set(answers) - waiting:
        yield f"messages.{i}: unexpected `tool_use_id` found in `tool_result` blocks: {', '.join(map(str, unknown))}"
    if len(set(answers)) < len(answers):
        yield f"messages.{i}: each tool_use must have a single result. Found multiple `tool_result` blocks with one id"
    if any(b["type"] == "tool_result" for b in blocks[len(answers) :]):
        yield f"messages.{i}: `tool_result` blocks must come first in the content of the message after a `tool_use`"


def _merged(messages: list[dict[str, Any]]) -> Iterator[tuple[str, list[Block]]]:
    """Consecutive messages of one role count as one turn, as the API merges them."""
    role, blocks = "", []
    for message in messages:
        if message["role"] != role and blocks:
            yield role, blocks
            blocks = []
        role, blocks = message["role"], blocks + blocks_of(message)
    if blocks:
        yield role, blocks
