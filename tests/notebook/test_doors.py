"""One result by every door: what a tool sends besides tables, and what goes into a tool."""

import base64
import json
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mcp.server.mcpserver import MCPServer
from mcp.types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    ToolAnnotations,
)

import mcp_notebook
from mcp_notebook.display.html_parts import picture
from mcp_notebook.errors import ConfigError, DataError
from mcp_notebook.freeze.select_calls import Surroundings, Wish, choose
from mcp_notebook.notebook import current, servers
from mcp_notebook.sessions.tools import ToolInfo

PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAA"
    "AABJRU5ErkJggg=="
)
PDF = base64.b64encode(b"%PDF-1.7 a page").decode()
SVG = '<svg xmlns="http://www.w3.org/2000/svg"><rect width="3" height="3"/></svg>'


def report() -> EmbeddedResource:
    held = BlobResourceContents(
        uri="file:///out/report.pdf", mime_type="application/pdf", blob=PDF
    )
    return EmbeddedResource(type="resource", resource=held)


CONTENT: dict[str, list[Any]] = {
    "image": [ImageContent(type="image", data=PNG, mime_type="image/png")],
    "audio": [AudioContent(type="audio", data=PDF, mime_type="audio/wav")],
    "pdf": [report()],
    "link": [ResourceLink(type="resource_link", uri="data://notes.bin", name="notes")],
    "table and image": [
        TextContent(type="text", text="a,b\n1,x\n2,y\n"),
        ImageContent(type="image", data=PNG, mime_type="image/png"),
    ],
    "text": [TextContent(type="text", text="Done.")],
    "nothing": [],
}


@pytest.fixture
def studio(state):
    server = MCPServer("studio", log_level="ERROR")

    @server.tool()
    def give(what: str) -> CallToolResult:
        """Some content."""
        return CallToolResult(content=CONTENT[what])

    @server.tool()
    def seven() -> int:
        """A number."""
        return 7

    @server.tool(annotations=ToolAnnotations(read_only_hint=True))
    def echo(data: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The records again."""
        return data

    @server.resource("data://notes.bin", mime_type="application/octet-stream")
    def notes() -> bytes:
        """Some bytes."""
        return b"\x00\x01 notes"

    return mcp_notebook.connect("studio", server)


@pytest.mark.parametrize("door", ["call", "method"])
def test_an_image_is_there_and_shows_itself(studio, door):
    if door == "call":
        result = mcp_notebook.call("studio.give", {"what": "image"})
    else:
        result = studio.give("image")

    (image,) = result.images
    assert (image.type, image.data) == ("image/png", base64.b64decode(PNG))
    assert "data:image/png;base64," in result._repr_mimebundle_()["text/html"]
    assert "nothing" not in result


@pytest.mark.parametrize(("what", "name", "data"), [("pdf", "report.pdf", b"%PDF-1.7 a page"), ("audio", "audio.wav", b"%PDF-1.7 a page"), ("link", "notes", b"\x00\x01 notes")])  # fmt: skip
def test_a_file_is_named_with_its_size_and_saved(
    studio, what, name, data, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    result = studio.give(what)
    (file,) = result.files
    assert file.name == name
    assert file.save().read_bytes() == data
    assert file.save().name != name, "a file that is there is not replaced"
    assert file.save(tmp_path / "mine").read_bytes() == data
    assert name in result._repr_mimebundle_()["text/plain"]


def test_a_table_and_a_picture_are_both_there(studio):
    result = studio.give("table and image")
    assert result.table.a.tolist() == [1, 2]
    assert len(result.images) == 1


def test_a_text_is_a_text_and_nothing_is_said_to_be_nothing(studio):
    assert studio.give("text") == "Done."
    assert studio.give("text").text == "Done."
    assert studio.give("nothing") == "(the tool returned nothing)"
    assert studio.give("nothing").value is None


def test_a_value_has_the_type_that_the_tool_declares(studio):
    seven = studio.seven()
    assert (seven.value, seven) == (7, "7")


def test_a_frame_goes_in_and_is_told_by_name_and_shape(studio, state):
    state.shell.user_ns["orders"] = frame = pd.DataFrame(
        {"n": [1, 2], "p": [Decimal("1.50"), None], "d": pd.to_datetime(["2026-01-02", None])}
    )  # fmt: skip
    back = studio.echo(data=frame)
    assert back.n.tolist() == [1, 2]
    assert back.p.tolist()[0] == 1.5
    told = state.ledger.frame().arguments.iloc[-1]
    assert "orders: 2 rows × 3 columns" in str(told)
    (call,) = [c for c in state.trail.calls if c.tool == "echo"]
    from mcp_notebook.freeze.sealing import literal

    assert literal(call.arguments["data"], None) == "orders"


FORMS = {
    "records": ({"type": "array", "items": {"type": "object"}}, [{"a": 1, "b": "x"}, {"a": 2, "b": None}]),
    "rows": ({"type": "array", "items": {"type": "array"}}, [[1, "x"], [2, None]]),
    "columns": ({"type": "object", "additionalProperties": {"type": "array"}}, {"a": [1, 2], "b": ["x", None]}),
    "split": ({"type": "object", "properties": {"columns": {}, "data": {}}}, {"columns": ["a", "b"], "data": [[1, "x"], [2, None]]}),
    "csv": ({"type": "string", "description": "The data as CSV"}, "a,b\n1,x\n2,\n"),
    "json": ({"type": "string", "description": "JSON records"}, '[{"a": 1, "b": "x"}, {"a": 2, "b": null}]'),
    "either": ({"anyOf": [{"type": "string"}, {"type": "array"}]}, [{"a": 1, "b": "x"}, {"a": 2, "b": None}]),
    "no schema": ({}, [{"a": 1, "b": "x"}, {"a": 2, "b": None}]),
}  # fmt: skip


def tool(schema: Any) -> ToolInfo:
    given = {"type": "object", "properties": {"data": schema}}
    return ToolInfo("s", "t", "", "", given, None, {}, "")


@pytest.mark.parametrize("form", FORMS)
def test_a_table_goes_in_the_form_that_the_schema_takes(form):
    schema, expected = FORMS[form]
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    sent, told = servers.sent_and_told(tool(schema), {"data": frame}, {})
    assert json.loads(json.dumps(sent)) == {"data": expected}
    assert told == {"data": "<table: 2 rows × 2 columns>"}


def test_a_table_that_is_too_large_or_out_of_place_is_one_sentence():
    wide = pd.DataFrame({"a": ["x" * 1000] * 20_000})
    with pytest.raises(ConfigError, match="20,000 rows × 1 column"):
        servers.sent_and_told(tool({}), {"data": wide}, {})
    with pytest.raises(ConfigError, match="takes a integer"):
        servers.sent_and_told(tool({"type": "integer"}), {"data": wide}, {})
    numbers = {"type": "array", "items": {"type": "number"}}
    two = pd.DataFrame({"a": [1], "b": [2]})
    with pytest.raises(ConfigError, match="one of them"):
        servers.sent_and_told(tool(numbers), {"data": two}, {})


@pytest.mark.parametrize(("value", "sent"), [
    (Decimal("19.90"), 19.9), (Decimal(5), 5), (Decimal("12345678901234567.89"), "12345678901234567.89"),
    (pd.NA, None), (pd.NaT, None), (float("nan"), None), (np.nan, None), (Decimal("nan"), None),
    (np.int64(3), 3), (np.float64(0.5), 0.5), (np.bool_(True), True), (np.datetime64("2026-01-02"), "2026-01-02"),
    (pd.Timestamp("2026-01-02 10:00"), "2026-01-02T10:00:00"), (pd.Series([1, None]), [1.0, None]),
    (pd.Index([1, 2]), [1, 2]), ({"a": {pd.NA}}, {"a": [None]}), (range(2), None),
])  # fmt: skip
def test_values_of_tables_are_arguments(value, sent):
    if isinstance(value, range):
        with pytest.raises(ConfigError, match="JSON cannot carry"):
            servers.plain(value, "x")
        return
    assert servers.plain(value, "x") == sent


BAD = [
    '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(2)</script><rect/></svg>',
    '<svg xmlns="http://www.w3.org/2000/svg"><foreignObject><b>x</b></foreignObject><a href="javascript:alert(1)"><rect/></a></svg>',
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"><image xlink:href="http://x.org/a.png"/></svg>',
    '<svg xmlns="http://www.w3.org/2000/svg"><style>@import url(http://x.org/a.css)</style><rect style="fill:url(http://x.org/a)"/></svg>',
]  # fmt: skip


@pytest.mark.parametrize("source", BAD)
def test_a_drawing_is_shown_without_what_runs_or_loads(source):
    url = picture("image/svg+xml", base64.b64encode(source.encode()).decode())
    assert url is not None
    shown = base64.b64decode(url.partition(",")[2]).decode()
    assert not any(word in shown for word in ("alert", "x.org", "foreignObject"))


def test_a_drawing_with_entities_is_not_shown():
    bomb = f'<!DOCTYPE svg [<!ENTITY a "aaa">]>{SVG}'
    assert picture("image/svg+xml", base64.b64encode(bomb.encode()).decode()) is None
    assert picture("image/svg+xml", base64.b64encode(SVG.encode()).decode())


def test_what_was_shared_can_be_asked_for_in_a_script(state):
    frame = pd.DataFrame({"a": [1, 2]})
    mcp_notebook.share(frame, "x")
    assert mcp_notebook.sql("select sum(a) as s from x").s.tolist() == [3]
    assert current.notebook() is state


def test_a_call_that_was_made_gives_its_result_again(studio, state):
    rows = state.shell.user_ns["rows"] = studio.echo(data=[{"n": 1}])
    studio.give("image")
    studio.give("pdf")
    assert [file.name for file in mcp_notebook.result().files] == ["report.pdf"]
    (image,) = mcp_notebook.result(1).images
    assert image.data == base64.b64decode(PNG)
    assert mcp_notebook.result("rows").table is rows
    with pytest.raises(DataError, match="No result is kept of 7"):
        mcp_notebook.result(7)


def test_freezing_a_call_takes_the_call_that_made_its_table(studio, state):
    names = state.shell.user_ns
    names["first"] = studio.echo(data=[{"n": 1}])
    names["other"] = studio.echo(data=[{"n": 2}])
    names["second"] = studio.echo(data=names["first"])
    names["mine"] = pd.DataFrame({"n": [3]})
    names["third"] = studio.echo(data=names["mine"])
    state.adopt()

    def frozen(name):
        wish = Wish((name,))
        return choose(state.trail, wish, Surroundings(names)).choices

    assert [c.call.arguments["data"] for c in frozen("second")] == [[{"n": 1}]] * 2
    assert list(frozen("second")[1].needs) == ["first"]
    assert [c.own for c in frozen("third")] == [("mine",)]


def test_an_empty_answer_has_the_columns_of_an_earlier_one(state):
    server = MCPServer("shop", log_level="ERROR")

    @server.tool()
    def find(city: str) -> CallToolResult:
        """Shops of a city."""
        rows = '[{"id": 1, "name": "a"}]' if city == "Oslo" else "[]"
        return CallToolResult(content=[TextContent(type="text", text=rows)])

    shop = mcp_notebook.connect("shop", server)
    assert list(shop.find("Rome").columns) == []
    assert len(shop.find("Oslo")) == 1
    empty = shop.find("Rome")
    assert (list(empty.columns), len(empty)) == (["id", "name"], 0)
    assert "earlier answer" in str(empty.attrs["mcp"]["notes"])
