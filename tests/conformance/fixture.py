"""A server with the tools, resources and prompts that the suite asks for, served by our
own serving code.

`python -m tests.conformance.fixture [PORT]` listens on loopback, without the token's gate.
"""

import asyncio
import json
import sys
import warnings
from contextlib import asynccontextmanager
from typing import Any

import mcp_types as types
from mcp.server.caching import CacheHint
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    PromptsListChanged,
    ToolsListChanged,
)
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError

from mcp_notebook.sharing.tools import build_app, http_server, listen
from tests.conformance import asking

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
WAV = "UklGRiQAAABXQVZFZm10IBAAAAABAAEARKwAAIhYAQACABAAZGF0YQAAAAA="
NOTHING: dict[str, Any] = {"type": "object", "properties": {}}
ONE_TEXT = {"prompt": {"type": "string"}}
RICH = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {
        "properties": {"contactMethod": {"const": "phone"}},
        "required": ["contactMethod"],
    },
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}
HEADED = {
    "type": "object",
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "query": {"type": "string"},
    },
    "required": ["region", "query"],
}


def text(said: str) -> types.TextContent:
    return types.TextContent(text=said)


def embedded(uri: str, said: str, mime: str = "text/plain") -> types.EmbeddedResource:
    return types.EmbeddedResource(
        resource=types.TextResourceContents(uri=uri, mime_type=mime, text=said)
    )


CONTENT: dict[str, list[Any]] = {
    "test_simple_text": [text("This is a simple text response for testing.")],
    "test_image_content": [types.ImageContent(data=PNG, mime_type="image/png")],
    "test_audio_content": [types.AudioContent(data=WAV, mime_type="audio/wav")],
    "test_embedded_resource": [
        embedded("test://embedded-resource", "This is an embedded resource content.")
    ],
    "test_multiple_content_types": [
        text("Multiple content types test:"),
        types.ImageContent(data=PNG, mime_type="image/png"),
        embedded(
            "test://mixed-content-resource",
            '{"test":"data","value":123}',
            "application/json",
        ),
    ],
    "json_schema_2020_12_tool": [text("understood")],
    "test_x_mcp_header": [text("headers agree")],
}
SCHEMAS = {
    "json_schema_2020_12_tool": RICH,
    "test_x_mcp_header": HEADED,
    "test_sampling": {"type": "object", "properties": ONE_TEXT, "required": ["prompt"]},
    "test_elicitation": {
        "type": "object",
        "properties": {"message": {"type": "string"}},
        "required": ["message"],
    },
}
OTHERS = (
    "test_error_handling", "test_logging_tool",
    "test_tool_with_logging", "test_tool_with_progress", "test_sampling", "test_elicitation",
    "test_elicitation_sep1034_defaults", "test_elicitation_sep1330_enums", "test_reconnection",
    "test_missing_capability", "test_trigger_tool_change", "test_trigger_prompt_change",
)  # fmt: skip
TOOLS = tuple(
    sorted(
        {
            *CONTENT,
            *OTHERS,
            *(name for name in asking.STEPS if not name.endswith("_prompt")),
        }
    )
)
PROMPTS = {
    "test_simple_prompt": (),
    "test_prompt_with_arguments": ("arg1", "arg2"),
    "test_prompt_with_embedded_resource": ("resourceUri",),
    "test_prompt_with_image": (),
    "test_input_required_result_prompt": (),
}
RESOURCES = {
    "test://static-text": (
        "text/plain",
        "This is the content of the static text resource.",
    ),
    "test://static-binary": ("image/png", PNG),
    "test://watched-resource": ("text/plain", "Watched."),
}


class Fixture:
    """The handlers."""

    def __init__(self) -> None:
        self.bus = InMemorySubscriptionBus()

    async def list_tools(self, context: Any, params: Any) -> types.ListToolsResult:
        tools = [
            types.Tool(
                name=n, description=f"Fixture {n}", input_schema=SCHEMAS.get(n, NOTHING)
            )
            for n in TOOLS
        ]
        return types.ListToolsResult(tools=tools)

    async def call_tool(self, context: Any, params: types.CallToolRequestParams) -> Any:
        name = params.name
        if name in CONTENT:
            return types.CallToolResult(content=CONTENT[name])
        if name in asking.STEPS:
            return asking.in_rounds(
                name,
                context,
                params,
                lambda given: types.CallToolResult(content=[text(worded(name, given))]),
            )
        run = getattr(self, f"_{name}", None)
        if run is None:
            raise MCPError(types.INVALID_PARAMS, f"There is no tool {name}.")
        said = await run(context, params.arguments or {})
        return types.CallToolResult(
            content=[text(said)], is_error=name == "test_error_handling"
        )

    async def _test_error_handling(self, context: Any, given: dict[str, Any]) -> str:
        return "This tool intentionally returns an error for testing"

    async def _test_tool_with_logging(self, context: Any, given: dict[str, Any]) -> str:
        for said in (
            "Tool execution started",
            "Tool processing data",
            "Tool execution completed",
        ):
            await context.session.send_log_message(
                "info", said, related_request_id=context.request_id
            )
            await asyncio.sleep(0.05)
        return "logged"

    async def _test_logging_tool(self, context: Any, given: dict[str, Any]) -> str:
        return await self._test_tool_with_logging(context, given)

    async def _test_tool_with_progress(
        self, context: Any, given: dict[str, Any]
    ) -> str:
        token = (context.meta or {}).get("progress_token")
        for progress in (0, 50, 100):
            if token is not None:
                await context.session.send_progress_notification(
                    token, progress, 100, related_request_id=context.request_id
                )
            await asyncio.sleep(0.05)
        return f"progress for {token}"

    async def _test_sampling(self, context: Any, given: dict[str, Any]) -> str:
        message = types.SamplingMessage(
            role="user", content=types.TextContent(text=given["prompt"])
        )
        answer = await context.session.create_message(
            [message], max_tokens=100, related_request_id=context.request_id
        )
        return f"LLM response: {answer.content.text}"

    async def _test_elicitation(self, context: Any, given: dict[str, Any]) -> str:
        fields = {"username": {"type": "string"}, "email": {"type": "string"}}
        return await asking.by_request(
            context, given["message"], fields, list(fields), "User response"
        )

    async def _test_elicitation_sep1034_defaults(
        self, context: Any, given: dict[str, Any]
    ) -> str:
        return await asking.by_request(
            context, "Check the defaults", asking.DEFAULTS, [], "Elicitation completed"
        )

    async def _test_elicitation_sep1330_enums(
        self, context: Any, given: dict[str, Any]
    ) -> str:
        return await asking.by_request(
            context, "Choose", asking.ENUMS, [], "Elicitation completed"
        )

    async def _test_reconnection(self, context: Any, given: dict[str, Any]) -> str:
        if context.close_sse_stream is not None:
            await context.close_sse_stream()
        await asyncio.sleep(0.2)  # the result is for the client that came back
        return "Reconnected."

    async def _test_missing_capability(
        self, context: Any, given: dict[str, Any]
    ) -> str:
        if (
            context.session.client_capabilities is None
            or context.session.client_capabilities.sampling is None
        ):
            raise asking.missing({"method": "sampling/createMessage"})
        return "The client can sample."

    async def _test_trigger_tool_change(
        self, context: Any, given: dict[str, Any]
    ) -> str:
        await self.bus.publish(ToolsListChanged())
        return "told"

    async def _test_trigger_prompt_change(
        self, context: Any, given: dict[str, Any]
    ) -> str:
        await self.bus.publish(PromptsListChanged())
        return "told"

    async def list_resources(
        self, context: Any, params: Any
    ) -> types.ListResourcesResult:
        listed = [
            types.Resource(
                uri=uri,
                name=uri.rpartition("/")[2],
                description=f"Fixture {uri}",
                mime_type=mime,
            )
            for uri, (mime, _) in RESOURCES.items()
        ]
        return types.ListResourcesResult(resources=listed)

    async def templates(
        self, context: Any, params: Any
    ) -> types.ListResourceTemplatesResult:
        template = types.ResourceTemplate(
            uri_template="test://template/{id}/data",
            name="data",
            description="By id",
            mime_type="application/json",
        )
        return types.ListResourceTemplatesResult(resource_templates=[template])

    async def read(
        self, context: Any, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        uri = str(params.uri)
        if uri in RESOURCES:
            mime, held = RESOURCES[uri]
            if mime == "image/png":
                return types.ReadResourceResult(
                    contents=[
                        types.BlobResourceContents(uri=uri, mime_type=mime, blob=held)
                    ]
                )
            return types.ReadResourceResult(
                contents=[
                    types.TextResourceContents(uri=uri, mime_type=mime, text=held)
                ]
            )
        inner = uri.removeprefix("test://template/").removesuffix("/data")
        if f"test://template/{inner}/data" != uri or not inner:
            raise MCPError(types.INVALID_PARAMS, "Resource not found", {"uri": uri})
        body = json.dumps(
            {"id": inner, "templateTest": True, "data": f"Data for ID: {inner}"}
        )
        content = types.TextResourceContents(
            uri=uri, mime_type="application/json", text=body
        )
        return types.ReadResourceResult(contents=[content])

    async def subscribe(self, context: Any, params: Any) -> types.EmptyResult:
        return types.EmptyResult()

    async def list_prompts(self, context: Any, params: Any) -> types.ListPromptsResult:
        listed = [
            types.Prompt(
                name=name,
                description=f"Fixture {name}",
                arguments=[
                    types.PromptArgument(name=a, description=a, required=True)
                    for a in arguments
                ],
            )
            for name, arguments in PROMPTS.items()
        ]
        return types.ListPromptsResult(prompts=listed)

    async def get_prompt(
        self, context: Any, params: types.GetPromptRequestParams
    ) -> Any:
        if params.name == "test_input_required_result_prompt":
            return asking.in_rounds(
                params.name,
                context,
                params,
                lambda given: prompt(text(f"Context: {json.dumps(given)}")),
            )
        given = params.arguments or {}
        if params.name not in PROMPTS or any(
            a not in given for a in PROMPTS[params.name]
        ):
            raise MCPError(
                types.INVALID_PARAMS,
                f"There is no such prompt {params.name}, or an argument is missing.",
            )
        return prompt(*prompt_content(params.name, given))

    async def complete(
        self, context: Any, params: types.CompleteRequestParams
    ) -> types.CompleteResult:
        values = [
            v for v in ("paris", "park", "party") if v.startswith(params.argument.value)
        ]
        return types.CompleteResult(
            completion=types.Completion(
                values=values, total=len(values), has_more=False
            )
        )

    async def set_level(self, context: Any, params: Any) -> types.EmptyResult:
        return types.EmptyResult()


def prompt(*contents: Any) -> types.GetPromptResult:
    return types.GetPromptResult(
        messages=[types.PromptMessage(role="user", content=c) for c in contents]
    )


def prompt_content(name: str, given: dict[str, str]) -> list[Any]:
    if name == "test_simple_prompt":
        return [text("This is a simple prompt for testing.")]
    if name == "test_prompt_with_arguments":
        return [
            text(
                f"Prompt with arguments: arg1='{given['arg1']}', arg2='{given['arg2']}'"
            )
        ]
    if name == "test_prompt_with_image":
        return [
            types.ImageContent(data=PNG, mime_type="image/png"),
            text("Please analyze the image above."),
        ]
    resource = embedded(given["resourceUri"], "Embedded resource content for testing.")
    return [resource, text("Please process the embedded resource above.")]


def worded(name: str, given: Any) -> str:
    said = json.dumps(given)
    if name == "test_input_required_result_elicitation":
        content = (given["user_name"] or {}).get("content") or {}
        return f"Hello, {content.get('name')}!"
    return (
        f"state-ok {said}"
        if name == "test_input_required_result_request_state"
        else said
    )


class Kept(EventStore):
    """Events in memory, so that a client that comes back gets what it missed."""

    def __init__(self) -> None:
        self._events: list[tuple[str, Any]] = []

    async def store_event(self, stream_id: str, message: Any) -> str:
        self._events.append((stream_id, message))
        return str(len(self._events))

    async def replay_events_after(
        self, last_event_id: str, send_callback: EventCallback
    ) -> str | None:
        at = int(last_event_id)
        if not 0 < at <= len(self._events):
            return None
        stream = self._events[at - 1][0]
        for number, (of, message) in enumerate(self._events[at:], at + 1):
            if of == stream and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


class _Changing(Server[Any]):
    def create_initialization_options(
        self, notification_options: Any = None, *words: Any, **named: Any
    ) -> Any:
        changing = NotificationOptions(
            prompts_changed=True, resources_changed=True, tools_changed=True
        )
        return super().create_initialization_options(changing, *words, **named)


def build() -> Server[Any]:
    """The server."""
    fixture = Fixture()
    listed = (
        "tools/list",
        "prompts/list",
        "resources/list",
        "resources/templates/list",
        "resources/read",
    )
    listed += ("server/discover",)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MCPDeprecationWarning)
        return _Changing(
            "conformance-fixture",
            version="1.0",
            cache_hints={
                method: CacheHint(ttl_ms=1000, scope="public") for method in listed
            },  # type: ignore[misc]
            get_tool_input_schema=lambda tool: SCHEMAS.get(tool, NOTHING),
            on_list_tools=fixture.list_tools,
            on_call_tool=fixture.call_tool,
            on_list_resources=fixture.list_resources,
            on_list_resource_templates=fixture.templates,
            on_read_resource=fixture.read,
            on_subscribe_resource=fixture.subscribe,
            on_unsubscribe_resource=fixture.subscribe,
            on_list_prompts=fixture.list_prompts,
            on_get_prompt=fixture.get_prompt,
            on_completion=fixture.complete,
            on_set_logging_level=fixture.set_level,
            on_subscriptions_listen=ListenHandler(fixture.bus),
        )


@asynccontextmanager
async def serving(port: int = 0) -> Any:
    """The fixture's address while it is served on loopback."""
    listener = listen("127.0.0.1", port)
    bound = listener.getsockname()[1]
    server = http_server(
        build_app(
            build(),
            host="127.0.0.1",
            port=bound,
            event_store=Kept(),
            retry_interval=500,
        )
    )
    task = asyncio.ensure_future(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{bound}/mcp"
    finally:
        server.should_exit = True
        await task


async def main() -> None:
    warnings.simplefilter("ignore", MCPDeprecationWarning)
    async with serving(int(sys.argv[1]) if len(sys.argv) > 1 else 0) as address:
        print(address, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
