"""Tab completion in the magics: servers, tools, tables named with @."""

from collections.abc import Iterable
from typing import Any

from IPython.core.completer import SimpleCompletion

from mcp_notebook.config.options import FLAGS
from mcp_notebook.kinds import is_table
from mcp_notebook.magics.help import options_of
from mcp_notebook.magics.server_completions import ServerCompletions
from mcp_notebook.naming import OWN_SERVER
from mcp_notebook.notebook.state import Notebook

_SERVER_MAGICS = (
    "%mcp_disconnect",
    "%mcp_tools",
    "%mcp_resources",
    "%mcp_status",
    "%%mcp_sql",
)
_TABLE_MAGICS = ("%mcp_preview", "%mcp_share")
_WORDS = {
    "%mcp_share": ("--as", "--about"),
    "%mcp_serve": ("--port", "--status", "--stop"),
    "%mcp_connect": tuple(FLAGS),
    "%mcp_disconnect": ("--all", "--forget"),
    "%mcp_prompt": ("--ask",),
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
    lines = text.split("\n")
    line = lines[line_number][:column]
    word = (line[len(line.rstrip()) :] and "") or (line.split(" ")[-1] if line else "")
    if (
        word.startswith("-")
        and line_number == 0
        and (options := _options(notebook, line))
    ):
        return _found([*options, "--help"], word)
    if text.lstrip().startswith("%%claude"):
        return _in_claude(notebook, line, word, line_number, offers)

    if line.split():
        magic = line.split(maxsplit=1)[0]
    else:
        magic = ""

    if magic in _SERVER_MAGICS and line_number == 0:
        return _found((s for s in _servers(notebook)), word)

    if magic == "%mcp_call":
        names = (f"{s.name}.{t.name}" for s in notebook.sessions for t in s.tools)
        if "{" not in line:
            return _found(names, word)

        return _no_completions()

    if magic in _TABLE_MAGICS:
        return _found(_tables(notebook), word)
    if magic == "%mcp_freeze":
        return _found([*_frozen_names(notebook), *_FREEZE_OPTIONS], word)
    if magic == "%mcp_unshare":
        return _found(notebook.catalog.names(), word)
    if magic == "%mcp_serve":
        return _found(_WORDS[magic], word)

    if magic == "%mcp_read":
        words = line.split()
        at_server = len(words) < 2 or (len(words) == 2 and word)
        if at_server:
            return _found(_servers(notebook), word)

        return _found(_addresses(offers, words[1], word), word)

    if magic == "%mcp_prompt":
        return _found(_in_prompt(notebook, offers, line.split(), word), word)

    return _no_completions()


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
        return _found((f"@{name}" for name in _tables(notebook)), word)
    if line_number == 0 and word and line.rstrip().endswith(("-s", "--servers")):
        return _found(_servers(notebook), word)

    # Prose gets no Python names.
    return {"completions": [], "suppress": line_number > 0}


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
        k.named(names)
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
