"""Tools as values, and the low-level MCP server that serves them.

The SDK's decorator server is not used: it configures the root logger and derives
schemas from signatures, while these tools publish exact schemas with formats and
examples.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import mcp_types as types
from mcp.server.lowlevel import NotificationOptions, Server

from mcp_notebook import __version__
from mcp_notebook.secrets import hide
from mcp_notebook.sharing.answer import (
    OUTPUT_SCHEMA,
    RowsAnswer,
    as_text,
    structured_content,
)
from mcp_notebook.sharing.tool_errors import ToolError, did_you_mean

logger = logging.getLogger(__name__)

READ_ONLY = types.ToolAnnotations(
    read_only_hint=True,
    destructive_hint=False,
    idempotent_hint=True,
    open_world_hint=False,
)
_PYTHON_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}


@dataclass(frozen=True)
class Tool:
    """A tool: `parameters` maps each argument to its JSON Schema; all without a
    "default" are required.

    `run` takes the checked arguments as keywords and gives an `Answer` or a finished
    `CallToolResult`; it raises `ToolError` for what the model can mend.
    """

    name: str
    title: str
    description: str
    run: Callable[..., Awaitable[RowsAnswer | types.CallToolResult]]
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    output_schema: Mapping[str, Any] | None = field(
        default_factory=lambda: OUTPUT_SCHEMA
    )
    annotations: types.ToolAnnotations = field(default_factory=lambda: READ_ONLY)

    def definition(self) -> types.Tool:
        """The tool as `tools/list` announces it."""
        return types.Tool(
            name=self.name,
            title=self.title,
            description=self.description,
            input_schema=self.input_schema(),
            output_schema=dict(self.output_schema) if self.output_schema else None,
            annotations=self.annotations,
        )

    def input_schema(self) -> dict[str, Any]:
        """JSON Schema of the arguments; unknown arguments are refused."""
        return {
            "type": "object",
            "properties": {
                name: dict(schema) for name, schema in self.parameters.items()
            },
            "required": [
                name
                for name, schema in self.parameters.items()
                if "default" not in schema
            ],
            "additionalProperties": False,
        }


class ChangingServer(Server[Any]):
    """A server that announces to clients of the handshake eras, too, that its list of
    resources changes.
    """

    def create_initialization_options(
        self,
        notification_options: NotificationOptions | None = None,
        *words: Any,
        **named: Any,
    ) -> Any:
        changing = notification_options or NotificationOptions(resources_changed=True)
        return super().create_initialization_options(changing, *words, **named)


def build_server(
    name: str,
    tools: Sequence[Tool],
    *,
    title: str,
    instructions: str,
    resources_change: bool = False,
    **handlers: Any,
) -> Server[Any]:
    """A low-level MCP server over the tools; `handlers` are further `on_*` handlers of
    the SDK's `Server`.

    `resources_change`: its list of resources changes while it runs, and it tells so.
    """
    by_name = {tool.name: tool for tool in sorted(tools, key=lambda tool: tool.name)}

    async def list_tools(context: Any, params: Any) -> types.ListToolsResult:
        return types.ListToolsResult(
            tools=[tool.definition() for tool in by_name.values()]
        )

    async def call_tool(
        context: Any, params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        result = await call(by_name, params.name, params.arguments or {})
        return await asyncio.to_thread(_hide_secrets, result)

    if resources_change:
        kind = ChangingServer
    else:
        kind = Server

    return kind(
        name,
        title=title,
        instructions=instructions,
        version=__version__,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        get_tool_input_schema=lambda tool: (
            by_name[tool].input_schema() if tool in by_name else None
        ),
        **handlers,
    )


async def call(
    tools: Mapping[str, Tool], name: str, arguments: Mapping[str, Any]
) -> types.CallToolResult:
    """Run one tool call; every failure comes back as a result with `is_error` that says
    what to change.
    """
    try:
        if name not in tools:
            raise ToolError(
                f"There is no tool {name!r}.{did_you_mean(name, tools)} Tools: {', '.join(tools)}."
            )

        check_arguments(tools[name], arguments)
        outcome = await tools[name].run(**arguments)
    except ToolError as error:
        return types.CallToolResult(
            content=[types.TextContent(text=str(error))], is_error=True
        )
    except Exception:
        # boundary: a bug in a tool must not end the server, nor show its insides to the
        # client
        logger.exception("tool %s failed", name)
        text = f"{name} failed unexpectedly; the server's log has the details."
        return types.CallToolResult(
            content=[types.TextContent(text=text)], is_error=True
        )

    if isinstance(outcome, types.CallToolResult):
        return outcome

    return to_result(outcome)


def _hide_secrets(result: types.CallToolResult) -> types.CallToolResult:
    """What a client gets, which may be on another machine: without known secrets."""
    for block in result.content:
        if isinstance(block, types.TextContent):
            block.text = hide(block.text)

    if result.structured_content is not None:
        result.structured_content = hide(result.structured_content)

    return result


def to_result(answer: RowsAnswer) -> types.CallToolResult:
    """The answer as a tool result: structured content whole, text as a capped CSV."""
    return types.CallToolResult(
        content=[types.TextContent(text=as_text(answer))],
        structured_content=structured_content(answer),
    )


def check_arguments(tool: Tool, arguments: Mapping[str, Any]) -> None:
    """Refuse unknown, missing and wrongly typed arguments; raises `ToolError`."""
    for given in arguments:
        if given not in tool.parameters:
            known = ", ".join(tool.parameters) or "none"
            raise ToolError(
                f"{tool.name} has no argument {given!r}. Its arguments: {known}."
            )

    for name, schema in tool.parameters.items():
        if name in arguments:
            _check_type(tool.name, name, arguments[name], schema)
        elif "default" not in schema:
            raise ToolError(
                f"{tool.name} needs the argument {name!r} "
                f"({schema.get('description', schema['type'])})."
            )


def _check_type(tool: str, name: str, value: Any, schema: Mapping[str, Any]) -> None:
    expected = _PYTHON_TYPES[schema["type"]]
    if not isinstance(value, expected) or (
        isinstance(value, bool) and bool not in expected
    ):
        raise ToolError(
            f"The argument {name!r} of {tool} must be of type {schema['type']}, not "
            f"{type(value).__name__}."
        )

    if value not in schema.get("enum", [value]):
        raise ToolError(
            f"The argument {name!r} of {tool} must be one of {', '.join(map(str, schema['enum']))}."
        )

    if isinstance(value, int | float) and not schema.get(
        "minimum", value
    ) <= value <= schema.get("maximum", value):
        raise ToolError(
            f"The argument {name!r} of {tool} must lie in "
            f"{schema.get('minimum')}..{schema.get('maximum')}."
        )
