"""The rules that the Messages API holds a request to, as one function for the fake server.

Sources: the API reference (errors and versioning, tool use, prompt caching) and
messages seen from the API in October 2026. The order of the checks is ours; each text
begins as the API's own.
"""

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

Block = dict[str, Any]


def refusal(body: dict[str, Any], *, counting: bool = False) -> str | None:
    """The API's message for the first broken rule, or None for a valid request
    (`counting`: for count_tokens).
    """
    for rule in (
        _fields,
        _tools,
        _tool_choice,
        _thinking,
        _breakpoints,
        _roles,
        _blocks,
        _pairs,
    ):
        for problem in rule(body):
            if counting and problem.startswith("max_tokens"):
                continue
            return problem
    return None


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
