"""What servers offer for completion: resources, prompts and values of their arguments,
asked for within a moment.
"""

import concurrent.futures
import re
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from mcp_notebook import loop
from mcp_notebook.notebook.state import Notebook

FRESH = 30.0  # seconds that a listing is kept
# seconds that the person waits for names; those that come later are there at the next
# Tab
PATIENCE = 0.8


_PIECE = re.compile(r"\{([^}]*)\}")


@dataclass(frozen=True)
class Typing:
    """A place in a template: `variable` is being typed and holds `value` so far.

    `before` is what stands in front of the value; `after` the fixed text that follows
    it; `known` the variables before.
    """

    variable: str
    value: str
    before: str
    after: str
    known: dict[str, str]


def typing_in(template: str, typed: str) -> Typing | None:
    """Where in a template such as `shop://{table}/rows{?limit}` the typed address ends;
    None when it does not fit, or ends in fixed text.
    """
    pieces = _PIECE.split(template)  # fixed text and variables take turns
    rest, before, known = typed, "", dict[str, str]()
    for at in range(0, len(pieces) - 1, 2):
        fixed, variable, following = pieces[at : at + 3]
        if not rest.startswith(fixed) or not variable:
            return None

        before, rest = before + fixed, rest[len(fixed) :]
        if "," in variable or variable[:1] in ("?", "&", ";"):
            # several variables in one, or a query: there is no one value to complete
            return None

        name = variable.lstrip("+/#.").split(":")[0].rstrip("*")
        if following:
            end = rest.find(following)
        else:
            end = -1

        if end < 0:
            return Typing(name, rest, before, following, known)

        known[name] = unquote(rest[:end])
        before, rest = before + rest[:end], rest[end:]

    return None


class ServerCompletions:
    """Listings of the servers, kept for a while; used from the kernel's thread."""

    def __init__(self, notebook: Notebook) -> None:
        self._notebook = notebook
        self._kept: dict[Any, tuple[float, concurrent.futures.Future[Any]]] = {}

    def resources(self, server: str) -> list[str]:
        """The addresses of a server's resources, and of templates as far as their first
        variable.
        """
        listed = self._ask(
            (server, "resources"), self._session(server, lambda s: s.list_resources())
        )
        addresses = [str(r.uri) for r in listed]
        return addresses + [
            t.uri_template.split("{")[0] for t in self._templates(server)
        ]

    def prompts(self, server: str) -> list[Any]:
        """The prompts of a server (mcp.types.Prompt)."""
        return self._ask(
            (server, "prompts"), self._session(server, lambda s: s.list_prompts())
        )

    def prompt_values(
        self, server: str, prompt: str, argument: str, value: str, known: dict[str, str]
    ) -> list[str]:
        """The server's completions for an argument of a prompt."""
        key = (server, "value", prompt, argument, value, tuple(sorted(known.items())))
        return self._ask(
            key,
            self._session(
                server, lambda s: s.complete_prompt(prompt, argument, value, known)
            ),
        )

    def resource_values(self, server: str, uri: str) -> list[str]:
        """Addresses for the variable of a template that is being typed, as far as the
        next variable.
        """
        found: list[str] = []
        for template in self._templates(server):
            place = typing_in(template.uri_template, uri)
            if place is None or not place.before:
                continue

            key = (
                server,
                "uri",
                template.uri_template,
                place.variable,
                place.value,
                tuple(place.known.items()),
            )
            values = self._ask(
                key, self._session(server, _completer(template.uri_template, place))
            )
            found += [place.before + value + place.after for value in values]

        return found

    def _templates(self, server: str) -> list[Any]:
        return self._ask(
            (server, "templates"),
            self._session(server, lambda s: s.list_resource_templates()),
        )

    def _session(
        self, server: str, question: Callable[[Any], Coroutine[Any, Any, list[Any]]]
    ) -> Callable[[], Coroutine[Any, Any, list[Any]]]:
        async def work() -> list[Any]:
            return await question(self._notebook.sessions.get(server))

        return work

    def _ask(
        self, key: Any, work: Callable[[], Coroutine[Any, Any, list[Any]]]
    ) -> list[Any]:
        asked, future = self._kept.get(key, (0.0, None))
        if future is None or time.monotonic() - asked > FRESH:
            future = loop.submit(work())
            self._kept = {
                k: v for k, v in self._kept.items() if time.monotonic() - v[0] <= FRESH
            }
            self._kept[key] = (time.monotonic(), future)

        try:
            return future.result(PATIENCE)
        except Exception:
            # boundary: completion is a help; what goes wrong shows when the line runs
            return []


def _completer(
    template: str, place: Typing
) -> Callable[[Any], Coroutine[Any, Any, list[str]]]:
    return lambda session: session.complete_resource(
        template, place.variable, place.value, place.known
    )
