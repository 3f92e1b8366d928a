"""A Messages API request reshaped for a small local model.

A model of one or two billion parameters calls no tools by itself, but it fills a JSON
form well when decoding is constrained to the form's schema. So each turn is a step:
either a form with one tool call, or the decision to answer, after which the answer is
written as free text. The forms are built from the request's own tools.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

MAX_SYSTEM = 8_000  # characters of the request's system prompt
MAX_RESULT = 2_600  # characters of a tool result in the running exchange
# characters of a string argument: without a bound a small model may never close one
MAX_STRING = 900
PAST_EXCHANGES = 3  # earlier questions with their answers that are kept
MAX_ERRORS = 3  # failed calls in a row after which the model may give up
MAX_EMPTY = 1  # queries without rows that are asked to look again
# All rows of a small table at the end of our own preview (results/model_preview.py):
# its statistics would only confuse.
_WHOLE_TABLE = re.compile(
    r"^.*?: ([\d,]+) rows? × .*?^first \1 rows? as CSV:\n", re.DOTALL | re.MULTILINE
)
_NO_ROWS = re.compile(r"(?<![\d,.])0 rows\b")

ANSWER = {
    "type": "object",
    "properties": {"next": {"const": "answer"}},
    "required": ["next"],
}
SQL_ADVICE = """\
For SQL:
- One SELECT from the one table or view that has all the columns; join only if none has.
- "How many customers": COUNT(*) FROM customers. An amount: SUM the column named so, where a table or view has one.
- Round sums of money: ROUND(SUM(x), 2) AS name. Filter dates like order_date >= '2026-01-01', never by 'now'."""
FORM = """\
Reply with JSON only: {"tool": "NAME", "arguments": {...}}"""
MAY_ANSWER = """\
If the results answer the question, reply {"next": "answer"}."""
WRITE = """\
Answer the question now in one to four short sentences or a short list of markdown. Take every figure from the tool \
results above, as written there; leave out what they do not show. Plain words, no JSON."""
GIVE_UP = "The calls failed. Say in one plain sentence that the question could not be answered, and why. Give no figures."
NO_RESULT = "Answer now in one to four short sentences."
EMPTY = "It gave no rows: a value or column in its conditions is wrong. Call again with other conditions."
MEND = "Do not repeat it. Think about what the error says, then call again with something else."


@dataclass(frozen=True)
class Step:
    """What to ask the model next.

    `messages` is a chat in the OpenAI form. `form` is the JSON schema that the next
    reply must fill, None when only an answer is wanted; `question` is what to add when
    the answer is to be written.
    """

    messages: tuple[Json, ...]
    form: Json | None
    write: str


def next_step(body: Json) -> Step:
    """The step that a Messages API request asks for."""
    tools = _offered(body)
    exchanges = list(_exchanges(body["messages"]))
    running = exchanges[-1] if exchanges else []
    form = _form(body, tools, running)
    messages = [{"role": "system", "content": _system(body, tools)}]
    for exchange in exchanges[-1 - PAST_EXCHANGES : -1]:
        messages += _chat(exchange, MAX_RESULT // 8)
    messages += _chat(running, MAX_RESULT)
    if form:
        messages.append({"role": "user", "content": _instruction(form, tools)})
    return Step(tuple(_alternating(messages)), form, _closing(_results(running)))


def written(step: Step) -> list[Json]:
    """The chat that asks for the answer in words: without the instruction on the form."""
    return [
        *step.messages[:-1],
        {"role": "user", "content": f"{step.messages[-1]['content']}\n\n{step.write}"},
    ]


def calls_so_far(messages: list[Json], *, failed: bool) -> list[Json]:
    """The tool calls since the person's last prompt that gave a result, or those that
    failed or gave no rows.
    """
    running = list(_exchanges(messages))[-1]
    ids = {
        block["tool_use_id"]
        for block in _results(running)
        if _is_failure(block) == failed
    }
    return [
        block for block in running if block["type"] == "tool_use" and block["id"] in ids
    ]


def _closing(results: list[Json]) -> str:
    if not results:
        return NO_RESULT
    return GIVE_UP if all(block.get("is_error") for block in results) else WRITE


def _offered(body: Json) -> list[Json]:
    choice = body.get("tool_choice") or {}
    tools = [tool for tool in body.get("tools") or () if "input_schema" in tool]
    if choice.get("type") == "none":
        return []
    return [
        tool
        for tool in tools
        if choice.get("type") != "tool" or tool["name"] == choice["name"]
    ]


def _form(body: Json, tools: list[Json], running: list[Json]) -> Json | None:
    """A tool call while there is no result yet or the last call failed; afterwards an
    answer, or the choice of one.

    The rows of a query are answered at once: asked whether to go on, a small model
    writes the same query again.
    """
    if not tools:
        return None
    calls = [_call_schema(tool) for tool in tools]
    must = (body.get("tool_choice") or {}).get("type") in ("any", "tool")
    results = _results(running)
    errors = _errors_in_a_row(results)
    if must or not results or 0 < errors < MAX_ERRORS:
        return {"anyOf": calls} if len(calls) > 1 else calls[0]
    if not errors and _queried(running):
        return {"anyOf": calls} if 0 < _empty_in_a_row(running) <= MAX_EMPTY else None
    return {"anyOf": [ANSWER, *calls]}


def _call_schema(tool: Json) -> Json:
    arguments = {**_bounded(tool["input_schema"]), "additionalProperties": False}
    return {
        "type": "object",
        "properties": {"tool": {"const": tool["name"]}, "arguments": arguments},
        "required": ["tool", "arguments"],
        "additionalProperties": False,
    }


def _bounded(schema: Any) -> Any:
    """The schema with a bound on every string, and without what only describes."""
    if isinstance(schema, list):
        return [_bounded(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {
        k: v
        for k, v in schema.items()
        if k not in ("description", "examples", "title", "default", "format")
    }
    bounded = {
        k: _properties(v) if k == "properties" else _bounded(v) for k, v in kept.items()
    }
    if (
        bounded.get("type") == "string"
        and not {"enum", "const", "pattern", "maxLength"} & bounded.keys()
    ):
        bounded["maxLength"] = MAX_STRING
    return bounded


def _properties(properties: Json) -> Json:
    return {name: _bounded(schema) for name, schema in properties.items()}


def _system(body: Json, tools: list[Json]) -> str:
    system = body.get("system") or ""
    words = (
        system
        if isinstance(system, str)
        else "\n".join(block["text"] for block in system)
    )
    listing = (
        "Tools:\n" + "\n".join(_signature(tool) for tool in tools) if tools else ""
    )
    return "\n\n".join(part for part in (words[:MAX_SYSTEM], listing) if part.strip())


def _instruction(form: Json, tools: list[Json]) -> str:
    """What a small model heeds best stands last."""
    sql = any("sql" in (tool["input_schema"].get("properties") or {}) for tool in tools)
    parts = [
        MAY_ANSWER if ANSWER in form.get("anyOf", ()) else "",
        SQL_ADVICE if sql else "",
        FORM,
    ]
    return "\n".join(part for part in parts if part)


def _signature(tool: Json) -> str:
    """`shop__query(sql: string): Run one SELECT ...`: the first sentence of the description."""
    properties = tool["input_schema"].get("properties") or {}
    arguments = ", ".join(
        f"{name}: {_type(schema)}" for name, schema in properties.items()
    )
    first = (
        (tool.get("description") or "").strip().partition("\n")[0].partition(". ")[0]
    )
    return f"- {tool['name']}({arguments}): {first}"


def _type(schema: Any) -> str:
    if not isinstance(schema, dict):
        return "any"
    if "enum" in schema:
        return "|".join(map(str, schema["enum"]))
    return str(schema.get("type", "any"))


def _exchanges(messages: Iterable[Json]) -> Iterator[list[Json]]:
    """The conversation cut at the person's prompts: each exchange is a flat list of
    blocks with their role.
    """
    exchange: list[Json] = []
    for message in messages:
        blocks = _blocks(message["content"])
        asks = message["role"] == "user" and not any(
            b["type"] == "tool_result" for b in blocks
        )
        if asks and any(block["role"] == "assistant" for block in exchange):
            yield exchange
            exchange = []
        exchange = exchange + [{**block, "role": message["role"]} for block in blocks]
    if exchange:
        yield exchange


def _blocks(content: str | list[Json]) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _results(exchange: list[Json]) -> list[Json]:
    return [block for block in exchange if block["type"] == "tool_result"]


def _errors_in_a_row(results: list[Json]) -> int:
    count = 0
    for block in reversed(results):
        if not block.get("is_error"):
            break
        count += 1
    return count


def _queried(exchange: list[Json]) -> bool:
    """Whether the last call was a query in SQL."""
    uses = [block for block in exchange if block["type"] == "tool_use"]
    return bool(uses) and "sql" in uses[-1]["input"]


def _empty_in_a_row(exchange: list[Json]) -> int:
    count = 0
    for block in reversed(_results(exchange)):
        if not _is_empty(block):
            break
        count += 1
    return count


def _is_failure(block: Json) -> bool:
    return bool(block.get("is_error")) or _is_empty(block)


def _is_empty(block: Json) -> bool:
    return not block.get("is_error") and bool(_NO_ROWS.search(_text(block, 300)))


def _chat(exchange: list[Json], limit: int) -> Iterator[Json]:
    failed = {
        block["tool_use_id"] for block in _results(exchange) if _is_failure(block)
    }
    calls = {
        block["id"]: _call(block) for block in exchange if block["type"] == "tool_use"
    }
    for block in exchange:
        kind = block["type"]
        if kind == "text":
            yield {"role": block["role"], "content": block["text"]}
        elif kind == "tool_use" and block["id"] not in failed:
            yield {"role": "assistant", "content": calls[block["id"]]}
        elif kind == "tool_result" and block["tool_use_id"] in failed:
            # Its own failed call as its own words would be repeated; told as a fact it is mended.
            said = (
                f"Error: {_text(block, limit)}\n{MEND}"
                if block.get("is_error")
                else EMPTY
            )
            yield {
                "role": "user",
                "content": f"This call failed: {calls.get(block['tool_use_id'], '')}\n{said}",
            }
        elif kind == "tool_result":
            yield {"role": "user", "content": f"Tool result:\n{_text(block, limit)}"}


def _call(block: Json) -> str:
    return json.dumps(
        {"tool": block["name"], "arguments": block["input"]}, ensure_ascii=False
    )


def _text(block: Json, limit: int) -> str:
    parts = _blocks(block.get("content") or "")
    text = "\n".join(
        part["text"] if part["type"] == "text" else f"[{part['type']}]"
        for part in parts
    )
    text = _WHOLE_TABLE.sub("", text, count=1)
    return text if len(text) <= limit else f"{text[:limit]}\n…"


def _alternating(messages: Iterable[Json]) -> Iterator[Json]:
    """Neighbours of one role joined: chat templates expect the roles to take turns."""
    last: Json | None = None
    for message in messages:
        if last and last["role"] == message["role"]:
            last = {
                "role": last["role"],
                "content": f"{last['content']}\n{message['content']}",
            }
            continue
        if last:
            yield last
        last = message
    if last:
        yield last
