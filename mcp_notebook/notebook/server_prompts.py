"""Prompts of servers: listed, filled in, and put into a cell."""

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mcp_notebook.errors import ConfigError
from mcp_notebook.notebook.state import Notebook

if TYPE_CHECKING:
    from mcp_notebook.sessions import Session

USAGE = (
    "Write %mcp_prompt SERVER.NAME argument=value ..., with --ask to ask it at once."
)
_OTHER_MENTION = re.compile(r"@(?=([\w.-]+):[A-Za-z][\w+.-]*:)")


async def rows(notebook: Notebook, names: Sequence[str]) -> list[dict[str, Any]]:
    """A row for every prompt of the named servers, or of all."""
    sessions = [await notebook.session(n) for n in names] or list(notebook.sessions)
    return [
        {
            "name": f"{session.name}.{prompt.name}",
            "arguments": ", ".join(
                a.name if a.required else f"{a.name}?" for a in prompt.arguments or ()
            ),
            "description": prompt.description or prompt.title or "",
        }
        for session in sessions
        for prompt in await session.list_prompts()
    ]


def parse(line: str) -> tuple[str, dict[str, str]]:
    """`server.name a=1 b="two words"` into the target and its arguments, which are
    texts; raises ConfigError.
    """
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise ConfigError(f"The line cannot be split into words: {error}.") from None

    target, arguments = words[0], {}
    for word in words[1:]:
        name, equals, value = word.partition("=")
        if not (name and equals):
            raise ConfigError(
                f"Arguments are written name=value, not {word!r}. {USAGE}"
            )

        arguments[name] = value

    return target, arguments


def split(notebook: Notebook, target: str) -> tuple[str, str]:
    """`server.name` into its parts: names of servers and of prompts may hold dots;
    raises ConfigError.
    """
    for server in sorted(notebook.sessions.names(), key=len, reverse=True):
        if target.startswith(f"{server}."):
            return server, target[len(server) + 1 :]

    server, dot, name = target.partition(".")
    if not (server and dot and name):
        raise ConfigError(f"Name the prompt as server.name, not {target!r}. {USAGE}")

    return server, name


async def text_of(notebook: Notebook, target: str, arguments: Mapping[str, str]) -> str:
    """The prompt as text for a cell; ConfigError names the prompts, or the arguments
    that are missing.
    """
    server, name = split(notebook, target)
    session = await notebook.session(server)
    await _check(session, name, arguments)
    answer = await session.get_prompt(name, dict(arguments))
    pieces = [_quote_reply(m.role, _words(server, m.content)) for m in answer.messages]
    text = "\n\n".join(piece for piece in pieces if piece.strip()).strip()
    if not text:
        raise ConfigError(f"The prompt {target} is empty.")

    # A server's words attach its own resources only; what another server holds is for
    # the person to name.
    return _OTHER_MENTION.sub(
        lambda found: "@" if found.group(1) == server else "@ ", text
    )


async def _check(session: "Session", name: str, arguments: Mapping[str, str]) -> None:
    prompts = {p.name: p for p in await session.list_prompts()}
    if name not in prompts:
        raise ConfigError(
            f"{session.name} has no prompt {name!r}; its prompts: {', '.join(prompts) or 'none'}."
        )

    declared = prompts[name].arguments or ()
    missing = [a.name for a in declared if a.required and a.name not in arguments]
    if missing:
        raise ConfigError(
            f"The prompt {session.name}.{name} needs {', '.join(f'{m}=…' for m in missing)}."
        )

    unknown = sorted(set(arguments) - {a.name for a in declared})
    if unknown:
        known = ", ".join(a.name for a in declared) or "none"
        raise ConfigError(
            f"The prompt {session.name}.{name} has no argument {unknown[0]!r}; its "
            f"arguments: {known}."
        )


def _quote_reply(role: str, text: str) -> str:
    """An example of a reply is quoted, so that it does not read as the person's own words."""
    if role == "user":
        return text
    return "\n".join(f"> {line}" for line in text.splitlines())


def _words(server: str, content: Any) -> str:
    if content.type == "text":
        return content.text
    if content.type == "resource_link":
        return f"@{server}:{content.uri}"

    if content.type == "resource":
        held = content.resource
        return getattr(held, "text", None) or f"@{server}:{held.uri}"

    return f"[{content.type}]"
