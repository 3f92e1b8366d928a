"""Nothing that a server, a model or a person sends makes the Messages API refuse a request."""

import base64
import json
import math
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_notebook.agent.conversation import Conversation, tool_result
from mcp_notebook.agent.pictures import draw_svgs, picture_block
from mcp_notebook.agent.request import admit, admit_reply
from mcp_notebook.agent.toolset import (
    Toolset,
    allowed_name,
    api_name,
    merge_branches,
    offer,
)
from mcp_notebook.errors import RequestRefused
from mcp_notebook.events import Note, ToolCall
from mcp_notebook.json_schema import lift
from mcp_notebook.policy import Budget, Limits
from mcp_notebook.sessions.tools import ToolInfo, fingerprint
from mcp_notebook.untrusted_text import sendable
from tests.agent import odd
from tests.agent.bench import Bench, shop
from tests.fake_messages import FakeMessages, Fault, Reply, text, use
from tests.message_rules import refusal, typed_problem
from tests.toy import ToySession

DONE = Reply([text("Done.")])


def tool_of(schema, name="odd", description="Odd."):
    definition = {"name": name, "description": description, "inputSchema": schema}
    made = fingerprint(json.loads(json.dumps(definition)))
    return ToolInfo("s", name, "", description, schema, None, {}, made, definition)


def request(tools, messages=None):
    asked = [{"role": "user", "content": [text("go")]}]
    body = {
        "model": "m",
        "max_tokens": 9,
        "system": [text("s")],
        "messages": messages or asked,
        "tools": tools,
    }
    return admit(body)


def problem_of(body):
    return refusal(body) or typed_problem(body)


def offered_in(schema):
    session = ToySession("s", {})
    session.tools = (tool_of(schema),)
    return Toolset.of([session]).definitions()


@pytest.mark.slow
@given(odd.schemas)
def test_any_schema_becomes_one_that_the_service_takes(schema):
    assert problem_of(request(offered_in(schema))) is None


@given(odd.anything)
def test_a_lifted_schema_is_valid_and_stays_as_it_is(value):
    lifted = lift(value if isinstance(value, dict) else {"properties": value})
    jsonschema.Draft202012Validator.check_schema(lifted)
    assert lift(lifted) == lifted


VALID = {
    "type": "object",
    "title": "Arguments",
    "$schema": "http://json-schema.org/draft-07/schema#",
    "properties": {
        "sql": {"type": "string", "minLength": 1, "pattern": "^[a-z]+$"},
        "n": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
        "at": {"$ref": "#/$defs/At"},
        "pair": {"type": "array", "prefixItems": [True, {"enum": [1, "a"]}]},
    },
    "required": ["sql"],
    "additionalProperties": False,
    "$defs": {"At": {"type": "object", "properties": {"x": {"type": "number"}}}},
}


def test_a_valid_schema_is_sent_letter_for_letter():
    """What was allowed, or recorded, for a tool hangs on its definition."""
    assert json.dumps(offer(tool_of(VALID)).input_schema) == json.dumps(VALID)


LIFTED = {
    "draft 4 limit": ({"minimum": 0, "exclusiveMinimum": True}, {"exclusiveMinimum": 0}),
    "no limit": ({"maximum": 9, "exclusiveMaximum": False}, {"maximum": 9}),
    "tuple": (
        {"items": [{"type": "number"}], "additionalItems": False},
        {"prefixItems": [{"type": "number"}], "items": False},
    ),
    "any": ({"type": "any"}, {}),
    "words of a language": ({"type": ["str", "None"]}, {"type": ["string", "null"]}),
    "required nothing": ({"required": None}, {}),
    "a property says it": (
        {"properties": {"q": {"type": "string", "required": True}}},
        {"required": ["q"], "properties": {"q": {"type": "string"}}},
    ),
    "listed among them": (
        {"properties": {"q": {}, "required": ["q"]}},
        {"required": ["q"], "properties": {"q": {}}},
    ),
    "dependencies": (
        {"dependencies": {"a": ["b"], "c": {"type": "object"}}},
        {"dependentRequired": {"a": ["b"]}, "dependentSchemas": {"c": {"type": "object"}}},
    ),
    "a type alone": ({"properties": {"q": "string"}}, {"properties": {"q": {"type": "string"}}}),
    "a name in a reference": (
        {"$ref": "#/$defs/List[int]", "$defs": {"List[int]": {"type": "array"}}},
        {"$ref": "#/$defs/List%5Bint%5D", "$defs": {"List[int]": {"type": "array"}}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LIFTED)
def test_an_old_draft_is_said_in_the_new_one(case):
    old, new = LIFTED[case]
    assert lift(old) == new


def test_what_the_branches_at_the_top_ask_for_is_said_in_words():
    schema = {
        "type": "object",
        "properties": {"id": {"type": "integer"}, "mail": {"type": "string"}},
        "anyOf": [{"required": ["id"]}, {"required": ["mail"]}],
    }
    offered = offer(tool_of(schema))
    assert offered.input_schema == {
        "type": "object",
        "properties": schema["properties"],
    }
    assert offered.description.endswith("one of: (id) or (mail).")


def test_branches_of_references_are_merged():
    schema = {
        "oneOf": [{"$ref": "#/definitions/A"}, {"$ref": "#/definitions/B"}],
        "definitions": {
            "A": {"type": "object", "properties": {"k": {}, "a": {}}, "required": ["k"]},
            "B": {"type": "object", "properties": {"k": {}, "b": {}}, "required": ["k", "b"]},
        },
    }  # fmt: skip
    flat = merge_branches(lift(schema))
    assert list(flat["properties"]) == ["k", "a", "b"]
    assert flat["required"] == ["k"]


@given(st.lists(odd.NAMES, unique=True, max_size=8))
def test_arguments_reach_the_server_under_its_own_names(names):
    offered = offer(
        tool_of({"type": "object", "properties": {name: {} for name in names}})
    )
    given = {name: i for i, name in enumerate(offered.input_schema["properties"])}
    assert len(given) == len(sendable(dict.fromkeys(names)))
    taken, _ = offered.take_arguments(given)
    assert list(taken) == list(sendable(dict.fromkeys(names)))


def test_names_of_arguments_stay_readable():
    assert allowed_name("ids[]", []) == "ids"
    assert allowed_name("größe", []) == "grosse"
    assert allowed_name("start date", ["start_date"]) == "start_date_2"


SCHEMA = {
    "type": "object",
    "properties": {
        "ids": {"type": "array"},
        "where": {"anyOf": [{"type": "object"}, {"type": "null"}]},
        "free": {"type": ["array", "string"]},
        "text": {"type": "string"},
    },
}


def test_a_json_text_is_read_only_where_the_schema_wants_nothing_else():
    given = dict.fromkeys(("ids", "free", "text"), "[1, 2]") | {"where": '{"a": 1}'}
    taken, read = offer(tool_of(SCHEMA)).take_arguments(given)
    assert taken == {
        "ids": [1, 2],
        "free": "[1, 2]",
        "text": "[1, 2]",
        "where": {"a": 1},
    }
    assert read == ("ids", "where")


async def test_the_card_says_that_a_text_was_read():
    session = shop()
    session.tools = (tool_of(SCHEMA, "query"),)
    with FakeMessages([Reply([use("shop__query", {"ids": "[1]"})]), DONE]) as api:
        events = await Bench(api, session).events()
    assert next(e for e in events if isinstance(e, ToolCall)).read == ("ids",)


def test_names_of_tools_are_unique_and_do_not_hang_on_what_else_is_connected():
    names = [
        ("a", "b__c"),
        ("a__b", "c"),
        ("a", "b.c"),
        ("a", "x" * 200),
        ("a", "x" * 201),
    ]
    taken = {}
    for server, tool in names:
        taken[api_name(server, tool, taken)] = (server, tool)
    assert len(taken) == len(names)
    assert api_name("a__b", "c", ["a__b__c"]) == api_name("a__b", "c", ["z", "a__b__c"])


@given(st.lists(odd.pictures, max_size=4))
def test_any_picture_can_be_sent(pictures):
    messages = [
        {"role": "user", "content": [text("go")]},
        {"role": "assistant", "content": [use("s__t", id="c1")]},
        {"role": "user", "content": [tool_result("c1", "Drawn.", images=pictures)]},
    ]
    body = request(offered_in({"type": "object"}), messages)
    assert problem_of(body) is None


def test_a_picture_is_what_its_bytes_say():
    import base64

    (_, block) = tool_result(
        "c", "x", images=[("image/jpeg", base64.b64encode(odd.PNG).decode())]
    )["content"]
    assert block["source"]["media_type"] == "image/png"


def test_the_oldest_pictures_go_when_there_are_too_many():
    import base64

    images = [("image/png", base64.b64encode(odd.PNG).decode())] * 103
    messages = [
        {"role": "user", "content": [text("go")]},
        {"role": "assistant", "content": [use("s__t", id="c1")]},
        {"role": "user", "content": [tool_result("c1", "x", images=images)]},
    ]
    body = request(offered_in({"type": "object"}), messages)
    kinds = [part["type"] for part in body["messages"][2]["content"][0]["content"]]
    assert kinds == ["text"] * 4 + ["image"] * 100


@given(odd.texts, odd.texts, odd.texts)
def test_any_text_can_be_sent(said, answered, found):
    conversation = Conversation()
    conversation.ask([text(said)])
    call = use(f"s__{said}", {"q": answered}, id=answered or "c")
    conversation.reply(admit_reply([text(answered), call], []))
    (asked,) = conversation.open_calls()
    conversation.answer([tool_result(asked["id"], found)])
    body = request(offered_in({"type": "object"}), conversation.messages)
    assert problem_of(body) is None


def test_calls_that_a_model_numbers_anew_in_each_turn_stay_apart():
    first = admit_reply([use("a", id="call_0"), use("a", id="call_0")], [])
    again = admit_reply([use("a", id="call_0")], first)
    assert len({block["id"] for block in [*first, *again]}) == 3


def refused_once(said, *replies):
    """An API that refuses the second request with these words, however it is meant."""
    left = [Reply([use("shop__query", id="c1")]), Fault(400, said, None), *replies]
    return FakeMessages(lambda body, n: left.pop(0))


PLACES = {
    "a tool": "tools.1.custom.input_schema: odd",
    "a tool by its name": "tool 'shop__other': odd",
    "a result": "messages.2.content.0.tool_result.content.0: odd",
    "a call": "messages.1.content.0.tool_use.input: odd",
    "the pictures": "Could not process image",
}


@pytest.mark.parametrize("place", PLACES)
async def test_what_the_service_refuses_is_taken_out_and_said(place):
    import base64

    def query(sql=""):
        from mcp.types import CallToolResult, ImageContent

        data = base64.b64encode(odd.PNG).decode()
        part = ImageContent(type="image", data=data, mimeType="image/png")
        return CallToolResult(content=[part])

    session = ToySession("shop", {"query": query, "other": query})
    if place == "a tool":
        PLACES[place] = "tools.0.custom.input_schema: odd"
    replies = (
        [Reply([use("shop__query", {"sql": "x"}, id="c1")])]
        if place == "a call"
        else []
    )
    with refused_once(PLACES[place], DONE, *replies) as api:
        if place == "a call":
            api._script = _script([*replies, Fault(400, PLACES[place], None), DONE])
        bench = Bench(api, session)
        events = await bench.events()
        assert bench.is_valid()
    notes = [e.text for e in events if isinstance(e, Note)]
    assert len(notes) == 1
    assert "left out" in notes[0].lower()
    assert ("other" in session.left_out) == place.startswith("a tool")


def _script(replies):
    left = list(replies)
    return lambda body, n: left.pop(0)


async def test_turns_that_are_refused_without_a_place_are_left_out_by_the_next_cell():
    wrong = Fault(400, "something is wrong", None)
    with refused_once("something is wrong", wrong, DONE) as api:
        bench = Bench(api, shop())
        with pytest.raises(RequestRefused):
            await bench.events()
        assert len(bench.conversation.messages) == 4
        events = await bench.events("And now?")
    (note,) = [e.text for e in events if isinstance(e, Note)]
    assert "left out" in note
    said = [m["content"][0]["text"] for m in bench.conversation.messages]
    assert said == ["And now?", "Done."]


async def test_a_conversation_that_is_refused_again_and_again_begins_anew():
    wrong = Fault(400, "something is wrong", None)
    left = [DONE, wrong, wrong, DONE]
    with FakeMessages(lambda body, n: left.pop(0)) as api:
        bench = Bench(api, shop())
        await bench.events("First?")
        bench.caller.budget = Budget(Limits())  # as each cell has its own
        with pytest.raises(RequestRefused):
            await bench.events("Second?")
        await bench.events("Third?")
    said = [m["content"][0]["text"] for m in bench.conversation.messages]
    assert said == ["Third?", "Done."]


def test_a_thousand_tools_are_made_once():
    import time

    session = ToySession("s", {})
    session.tools = tuple(tool_of(VALID, f"tool_{i}") for i in range(1000))
    Toolset.of([session]).definitions()
    started = time.process_time()
    Toolset.of([session]).definitions()
    assert time.process_time() - started < 0.1


def test_numbers_that_json_has_no_word_for_are_null():
    assert sendable({"a": [math.nan, 1.5]}) == {"a": [None, 1.5]}


SVG = '<svg xmlns="http://www.w3.org/2000/svg" {}>{}</svg>'
BAR = '<rect width="4" height="2" fill="red"/>'
DRAWN = {
    "with its size": (SVG.format('width="40" height="20"', BAR), (40, 20)),
    "by its view box": (SVG.format('viewBox="0 0 40 20"', BAR), (80, 40)),
    "of a huge size": (SVG.format('width="90000" height="45000"', BAR), (1568, 1568)),
    "huge, with a box": (
        SVG.format('width="9000pt" height="4500pt" viewBox="0 0 2 1"', BAR),
        (1568, 784),
    ),
    "without a size": (SVG.format('width="100%"', BAR), (800, 600)),
    "of 19,000 parts": (SVG.format("", "<rect/>" * 19_000), (800, 600)),
}
NOT_DRAWN = {
    "of too many parts": SVG.format("", "<rect/>" * 30_000),
    "repeating itself": SVG.format(
        "",
        '<g id="a"><rect/><rect/></g>'
        + "".join(
            f'<g id="{chr(98 + n)}"><use href="#{chr(97 + n)}"/>'
            f'<use href="#{chr(97 + n)}"/></g>'
            for n in range(18)
        ),
    ),
    "of entities": '<!DOCTYPE svg [<!ENTITY a "b">]>' + SVG.format("", "&a;"),
    "too large": SVG.format("", f"<desc>{'x' * 1_000_001}</desc>"),
    "broken": "<svg",
    # what the engine refuses, in its own ways
    "of nothing": "<svg/>",
    "without a namespace": "<svg><rect/></svg>",
}


def drawn(svg: str, change: Any = lambda words: words) -> tuple[str, str]:
    data = base64.b64encode(svg.encode()).decode()
    (image,) = draw_svgs([("image/svg+xml", data)], change)
    return image


@pytest.mark.parametrize("case", DRAWN)
def test_a_drawing_is_a_png_within_bounds(case: str) -> None:
    pytest.importorskip("vl_convert")
    svg, sides = DRAWN[case]
    kind, data = drawn(svg)
    assert kind == "image/png"
    raw = base64.b64decode(data)
    found = int.from_bytes(raw[16:20], "big"), int.from_bytes(raw[20:24], "big")
    assert found == sides
    assert picture_block(kind, data)["type"] == "image"


@pytest.mark.parametrize("case", NOT_DRAWN)
def test_a_drawing_that_is_too_much_is_told_in_words(case: str) -> None:
    kind, data = drawn(NOT_DRAWN[case])
    assert kind == "image/svg+xml"
    assert picture_block(kind, data)["type"] == "text"


def test_a_drawing_loads_nothing_and_tells_no_secret(tmp_path: Path) -> None:
    images = pytest.importorskip("PIL.Image")
    pytest.importorskip("vl_convert")
    images.new("RGB", (9, 9), "red").save(tmp_path / "private.png")
    plain = SVG.format('width="40" height="20"', "{}")
    place = f'<image href="{tmp_path}/private.png" width="9" height="9"/>'
    inner = base64.b64encode(plain.format(place).encode()).decode()
    nested = f'<image href="data:image/svg+xml;base64,{inner}" width="40" height="20"/>'
    empty = drawn(plain.format(""))
    assert drawn(plain.format(place)) == drawn(plain.format(nested)) == empty
    text = '<text y="15">{}</text>'
    told = drawn(plain.format(text.format("hunter2")), lambda words: "[masked]")
    assert told == drawn(plain.format(text.format("[masked]")))
