"""Tab completion in the magics: servers, tools, tables named with @."""

from __future__ import annotations

import concurrent.futures
import re
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from IPython.core.completer import SimpleCompletion

from mcp_notebook import loop
from mcp_notebook.config.options import FLAGS
from mcp_notebook.kinds import is_table
from mcp_notebook.naming import OWN_SERVER
from mcp_notebook.notebook.mentions import known_names
from mcp_notebook.notebook.options import options_of
from mcp_notebook.notebook.state import Notebook

# What servers offer for completion: resources, prompts and values of their arguments,
# asked for within a moment.


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


_SERVER_MAGICS = (
    "%mcp_about",
    "%mcp_disconnect",
    "%mcp_tools",
    "%mcp_doctor",
    "%mcp_lint",
    "%mcp_resources",
    "%mcp_status",
    "%%mcp_sql",
)
_TABLE_MAGICS = ("%mcp_preview", "%mcp_share", "%mcp_show")
_WORDS = {
    "%mcp_about": ("--about", "--forget"),
    "%mcp_share": ("--as", "--about", "--about-columns", "--follow"),
    "%mcp_serve": ("--port", "--status", "--stop"),
    "%mcp_connect": tuple(FLAGS),
    "%mcp_disconnect": ("--all", "--forget"),
    "%mcp_prompt": ("--ask",),
    "%mcp_lint": ("--call",),
    "%mcp_call": ("--into",),
    "%mcp_read": ("--into",),
}
_FREEZE_OPTIONS = tuple(
    """
    --all-cells --all --to --force --print --no-checks --strict --warn --include-writes
    --with-answers --with-data
""".split()
)


def complete(
    notebook: Notebook,
    text: str,
    line_number: int,
    column: int,
    offers: ServerCompletions | None = None,
) -> dict[str, Any]:
    """The completions at a place of a cell's text, in IPython's result form. `offers`:
    what the servers have.
    """
    offers = offers or ServerCompletions(notebook)
    line = text.split("\n")[line_number][:column]
    word = line.split(" ")[-1]
    if word.startswith("-") and line_number == 0:
        options = _options(notebook, line)
        if options:
            return _found([*options, "--help"], word)

    if text.lstrip().startswith("%%claude"):
        return _in_claude(notebook, line, word, line_number, offers)

    names = _after_magic(_Place(notebook, offers, line, word, line_number))
    if names is None:
        return _no_completions()
    return _found(names, word)


@dataclass(frozen=True)
class _Place:
    """Where the cursor stands: the line up to it, and the word that is being typed."""

    notebook: Notebook
    offers: ServerCompletions
    line: str
    word: str
    line_number: int

    @property
    def words(self) -> list[str]:
        return self.line.split()


def _after_magic(place: _Place) -> Iterable[str] | None:
    """The names that can follow the magic of the line; None where none can."""
    magic = next(iter(place.words), "")
    # In the body of %%mcp_sql stands SQL, no name of a server.
    if magic in _SERVER_MAGICS and place.line_number == 0:
        return _servers(place.notebook)
    if magic in _TABLE_MAGICS:
        return _tables(place.notebook)

    names = _AFTER.get(magic)
    if names is not None:
        return names(place)
    return None


def _after_call(place: _Place) -> Iterable[str] | None:
    # Arguments are JSON: no tool's name belongs there.
    if "{" in place.line:
        return None
    return (f"{s.name}.{t.name}" for s in place.notebook.sessions for t in s.tools)


def _after_read(place: _Place) -> Iterable[str]:
    words = place.words
    before = len(words) - bool(place.word)  # the magic, and what is typed to the end
    if before < 2:
        return _servers(place.notebook)
    return _addresses(place.offers, words[1], place.word)


def _after_prompt(place: _Place) -> Iterable[str]:
    return _in_prompt(place.notebook, place.offers, place.words, place.word)


_AFTER: dict[str, Callable[[_Place], Iterable[str] | None]] = {
    "%mcp_call": _after_call,
    "%mcp_freeze": lambda at: [*_frozen_names(at.notebook), *_FREEZE_OPTIONS],
    "%mcp_prompt": _after_prompt,
    "%mcp_read": _after_read,
    "%mcp_serve": lambda at: _WORDS["%mcp_serve"],
    "%mcp_unshare": lambda at: at.notebook.catalog.names(),
}


def _options(notebook: Notebook, line: str) -> list[str]:
    """The options of the magic that a line begins with."""
    magic = line.split(maxsplit=1)[0]
    kind, name = ("cell", magic[2:]) if magic.startswith("%%") else ("line", magic[1:])
    found = notebook.shell.magics_manager.magics[kind].get(name)
    return [*_WORDS.get(magic, ()), *(options_of(found) if found else ())]


def _addresses(offers: ServerCompletions, server: str, typed: str) -> list[str]:
    return [*offers.resources(server), *offers.resource_values(server, typed)]


def _in_prompt(
    notebook: Notebook, offers: ServerCompletions, words: list[str], word: str
) -> list[str]:
    """After %mcp_prompt: names of prompts, then their arguments, then the server's
    values for one.
    """
    target = next((w for w in words[1:] if not w.startswith("-")), "")
    server, _, name = target.partition(".")
    if target == word:
        return [
            f"{s}.{p.name}"
            for s in notebook.sessions.names()
            for p in offers.prompts(s)
        ]

    given = dict(w.split("=", 1) for w in words[1:] if "=" in w and w != word)
    argument, equals, value = word.partition("=")
    if equals:
        return [
            f"{argument}={v}"
            for v in offers.prompt_values(server, name, argument, value, given)
            if " " not in v
        ]

    declared = (
        a.name
        for p in offers.prompts(server)
        if p.name == name
        for a in p.arguments or ()
    )
    return [f"{a}=" for a in declared if a not in given]


def _in_claude(
    notebook: Notebook,
    line: str,
    word: str,
    line_number: int,
    offers: ServerCompletions,
) -> dict[str, Any]:
    server, colon, typed = (
        word[1:].partition(":") if word.startswith("@") else ("", "", "")
    )
    if colon and server in notebook.sessions.names():
        return _found(
            (f"@{server}:{uri}" for uri in _addresses(offers, server, typed)), word
        )
    if word.startswith("@"):
        return _found((f"@{name}" for name in _offer_names(notebook, word[1:])), word)
    if line_number == 0 and word and line.rstrip().endswith(("-s", "--servers")):
        return _found(_servers(notebook), word)

    # Prose gets no Python names.
    return {"completions": [], "suppress": line_number > 0}


def _offer_names(notebook: Notebook, typed: str) -> list[str]:
    """What can stand behind an @: names, `server.tool`, files of a path."""
    if typed.startswith((".", "/", "~")):
        folder, _, _ = typed.rpartition("/")
        at = Path(folder or "/").expanduser()
        try:
            found = [one.name + "/" * one.is_dir() for one in at.iterdir()]
        except OSError:
            return []

        return [f"{folder}/{name}" for name in found if not re.search(r"\s", name)]

    server, dot, _ = typed.rpartition(".")
    if dot and server in notebook.sessions.names():
        tools = notebook.sessions.get(server).tools
        return [f"{server}.{tool.name}" for tool in tools]

    return known_names(notebook)


def _servers(notebook: Notebook) -> list[str]:
    return sorted({*notebook.sessions.names(), OWN_SERVER})


def _tables(notebook: Notebook) -> list[str]:
    return [
        n
        for n, value in list(notebook.shell.user_ns.items())
        if not n.startswith("_") and is_table(value)
    ]


def _frozen_names(notebook: Notebook) -> list[str]:
    """The tables that calls gave, by their names now."""
    notebook.adopt()
    names = notebook.shell.user_ns
    return [
        k.name_now(names)
        for call in notebook.trail
        for k in call.kept()
        if k.frame() is not None
    ]


def _found(names: Iterable[str], word: str) -> dict[str, Any]:
    matches = [
        SimpleCompletion(n, type="name")
        for n in sorted(set(names))
        if n.startswith(word)
    ]
    return {"completions": matches, "suppress": bool(matches), "matched_fragment": word}


def _no_completions() -> dict[str, Any]:
    return {"completions": []}
