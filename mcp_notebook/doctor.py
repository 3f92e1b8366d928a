"""`mcp-notebook doctor` and `%mcp_doctor`: what is here, what is missing, and what to do
about it. Values of credentials are never looked at, only whether they are there.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from packaging.requirements import InvalidRequirement, Requirement

from mcp_notebook.config import ServerSpec, StdioServer, load_each, resolve_command
from mcp_notebook.config.files import PROJECT_FILE
from mcp_notebook.config.target import find_remedy
from mcp_notebook.config.userfiles import user_folder
from mcp_notebook.errors import ConfigError, NotebookError
from mcp_notebook.notebook import asker, current
from mcp_notebook.notebook.opening import notes_on
from mcp_notebook.server_commands import connect
from mcp_notebook.untrusted_text import visible, visible_json

if TYPE_CHECKING:
    from mcp_notebook.sessions.session import Session

PACKAGE = "mcp-notebook"
OLDEST_PYTHON = (3, 11)
KEYS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL")
# What servers are commonly started with
STARTERS = ("uvx", "npx", "node", "docker", "java")
FRONT_ENDS = ("jupyterlab", "notebook", "ipykernel", "ipywidgets")
WIDGETS_OF_FRONT_ENDS = "jupyterlab_widgets"
# A model reads about this many bytes of a schema as one token.
BYTES_PER_TOKEN = 4
# Tokens of tool schemas in each request, above which a person should know
MANY_TOKENS = 20_000

SLOW_ANSWER = 2.0  # seconds for a listing

Level = Literal["ok", "note", "wrong"]
SIGNS: dict[Level, str] = {"ok": "ok   ", "note": "note ", "wrong": "WRONG"}


@dataclass(frozen=True)
class Finding:
    """One line of the report. `advice` is what to do; empty where there is nothing."""

    level: Level
    what: str
    advice: str = ""

    def __str__(self) -> str:
        line = f"{SIGNS[self.level]} {self.what}"
        return f"{line}\n      {self.advice}" if self.advice else line


def run(args: argparse.Namespace) -> int:
    """Print the findings; 1 when something is wrong."""
    findings = list(examine(args.server))
    if args.json:
        rows = [asdict(finding) for finding in findings]
        print(visible_json(json.dumps(rows, ensure_ascii=False, indent=2)))
    else:
        print(visible("\n".join(map(str, findings)), lines=True))

    return int(any(finding.level == "wrong" for finding in findings))


def examine(server: str = "") -> Iterator[Finding]:
    """All findings: on this environment, or on one server that is connected for it."""
    if server:
        yield from examine_server(server)
        return

    yield from check_python()
    yield from check_packages()
    yield from check_jupyter()
    yield from check_neighbours()
    yield from check_model()
    yield from check_starters()
    yield from check_folders()
    yield from check_ports()
    yield from check_configuration(Path.cwd())


def check_shell(shell: Any) -> Iterator[Finding]:
    """What the front end of a running notebook can do."""
    if getattr(shell, "kernel", None) is None:
        yield Finding("note", "no kernel: questions are asked in the terminal")
    elif asker.buttons_work(shell):
        yield Finding("ok", "buttons answer while a cell runs")
    else:
        yield Finding(
            "note",
            "buttons do not answer while a cell runs: questions are asked by input()",
            "Install ipykernel 7.4 or newer.",
        )


def check_python() -> Iterator[Finding]:
    """The interpreter's version."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info >= OLDEST_PYTHON:
        yield Finding("ok", f"Python {version} ({sys.executable})")
        return

    oldest = ".".join(map(str, OLDEST_PYTHON))
    yield Finding("wrong", f"Python {version}", f"Use Python {oldest} or newer.")


def check_packages() -> Iterator[Finding]:
    """What this package needs, by its own metadata; extras only where they are there."""
    try:
        own = metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError:
        fix = "Install it: pip install -e . in its folder."
        yield Finding("wrong", f"{PACKAGE} itself is not installed here", fix)
        return

    fits = []
    for requirement in requirements_of(own):
        extra = requirement.marker is not None
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            if not extra:
                fix = f'Install it: pip install "{requirement}".'
                yield Finding("wrong", f"{requirement.name} is not installed", fix)
            continue

        if requirement.specifier.contains(version, prereleases=True):
            fits.append(f"{requirement.name} {version}")
            continue

        wanted = f"{requirement.name}{requirement.specifier}"
        yield Finding(
            "wrong",
            f"{requirement.name} is {version}; {wanted} is needed",
            f'Install it: pip install "{wanted}".',
        )

    yield Finding("ok", ", ".join(dict.fromkeys(fits)))


def requirements_of(distribution: metadata.Distribution) -> Iterator[Requirement]:
    """What an installed package asks for; lines that are no requirements are left out."""
    for line in distribution.requires or ():
        try:
            yield Requirement(line)
        except InvalidRequirement:
            continue


def check_jupyter() -> Iterator[Finding]:
    """The front ends that are installed here, and whether they can draw widgets."""
    there = {}
    for name in (*FRONT_ENDS, WIDGETS_OF_FRONT_ENDS):
        with suppress(metadata.PackageNotFoundError):
            there[name] = metadata.version(name)

    if not there:
        # The kernel of a Lab that is installed elsewhere is the common case.
        yield Finding("note", "no JupyterLab or Notebook in this environment")
        return

    yield Finding("ok", ", ".join(f"{name} {v}" for name, v in there.items()))
    if WIDGETS_OF_FRONT_ENDS not in there:
        yield Finding(
            "wrong",
            "JupyterLab and Notebook cannot draw widgets here: cards stay still",
            f"Install it beside them: pip install {WIDGETS_OF_FRONT_ENDS}.",
        )


def check_neighbours() -> Iterator[Finding]:
    """Installed packages that want another version of the MCP or the model's SDK."""
    ours = {}
    for name in ("mcp", "anthropic"):
        # One that is missing was told above.
        with suppress(metadata.PackageNotFoundError):
            ours[name] = metadata.version(name)

    for distribution in metadata.distributions():
        name = distribution.metadata["Name"]
        if not name or name == PACKAGE:
            continue

        for wanted in requirements_of(distribution):
            version = ours.get(wanted.name)
            applies = wanted.marker is None or wanted.marker.evaluate({"extra": ""})
            if version is None or not applies:
                continue
            if wanted.specifier.contains(version, prereleases=True):
                continue

            yield Finding(
                "wrong",
                f"{name} wants {wanted.name}{wanted.specifier}, and {version} is here",
                "Give one of the two an environment of its own, with a kernel of its "
                "own: python -m ipykernel install --user --name mcp-notebook.",
            )


def check_model(environ: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Whether a model can be asked."""
    there = [name for name in KEYS if environ.get(name, "").strip()]
    if there:
        yield Finding("ok", f"{', '.join(there)} set: a model can be asked")
        return

    yield Finding(
        "note",
        "no key for a model is set: recorded turns replay, new questions cannot be asked",
        "Set ANTHROPIC_API_KEY, or ANTHROPIC_BASE_URL for a local model.",
    )


def check_starters() -> Iterator[Finding]:
    """The commands that servers are commonly started with."""
    for command in STARTERS:
        path = shutil.which(command)
        if path:
            yield Finding("ok", f"{command}: {path}")
        else:
            what = f"{command} is not here: servers that start with it cannot run"
            yield Finding("note", what, find_remedy(command))


def check_folders() -> Iterator[Finding]:
    """Whether this package can keep what it remembers."""
    folder = user_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        yield Finding(
            "wrong",
            f"{folder} cannot be written ({error.strerror}): no approval is remembered",
            "Make the folder writable, or free some space on its disk.",
        )
        return

    yield Finding("ok", f"settings are kept in {folder}")


def check_ports() -> Iterator[Finding]:
    """Whether a program may listen on this machine: sharing and signing in need it."""
    try:
        with socket.create_server(("127.0.0.1", 0)):
            pass
    except OSError as error:
        yield Finding(
            "wrong",
            f"nothing may listen on 127.0.0.1 here ({error.strerror}): no %mcp_serve, "
            "and no sign-in by a browser",
            "Allow connections of this machine to itself, or share by a command: "
            "mcp-notebook serve.",
        )
        return

    yield Finding("ok", "this machine can be listened on: %mcp_serve and sign-in work")


def check_configuration(start: Path) -> Iterator[Finding]:
    """The servers of `.mcp.json` here or above: can each be read, and its command found?"""
    folders = (start.absolute(), *start.absolute().parents)
    files = [folder / PROJECT_FILE for folder in folders]
    file = next((path for path in files if path.is_file()), None)
    if file is None:
        what = f"no {PROJECT_FILE} here or above: servers are named by hand"
        yield Finding("note", what)
        return

    try:
        entries = load_each(file)
    except ConfigError as error:
        yield Finding("wrong", error.message, f"Mend {file}.")
        return

    for name, spec in entries.items():
        if isinstance(spec, NotebookError):
            yield Finding("wrong", f"{name} of {file}: {spec.message}")
        else:
            yield check_entry(name, spec, file)


def check_entry(name: str, spec: ServerSpec, file: Path) -> Finding:
    """One server of a file: is there what it starts with?"""
    if not isinstance(spec, StdioServer):
        return Finding("ok", f"{name} of {file}")

    try:
        resolve_command(spec, where=f"{name} of {file}")
    except ConfigError as error:
        return Finding("wrong", error.message)

    return Finding("ok", f"{name} of {file}")


def examine_server(server: str) -> Iterator[Finding]:
    """Start a server, look at what it offers, and close it."""
    begun = time.monotonic()
    try:
        name = connect(server)
    except NotebookError as error:
        yield Finding(
            "wrong", f"{server} does not connect: {error.message}", error.detail
        )
        return

    took = time.monotonic() - begun
    state = current.notebook()
    session = state.sessions.get(name)
    title = session.server_title or server
    yield Finding("ok", f"{title} connects in {took:.1f} s, protocol {session.era}")
    yield Finding("ok", f"it offers {', '.join(session.offers) or 'nothing'}")
    begun = time.monotonic()
    current.run(state, session.refresh_tools())
    took = time.monotonic() - begun
    if took > SLOW_ANSWER:
        advice = "Each call takes at least as long: is it far away, or busy?"
        yield Finding("note", f"it lists its tools in {took:.1f} s", advice)
    else:
        yield Finding("ok", f"it lists its tools in {took * 1000:.0f} ms")

    yield from examine_session(session)
    current.run(state, state.sessions.disconnect(name))


def examine_session(session: Session) -> Iterator[Finding]:
    """What a connected server's tools cost, and what is odd in them."""
    tools = session.tools
    if not tools:
        yield Finding(
            "note", "it has no tools: there is nothing that a model could call"
        )
        return

    size = sum(
        len(json.dumps(tool.input_schema)) + len(tool.description) for tool in tools
    )
    tokens = size // BYTES_PER_TOKEN
    what = f"{len(tools)} tools, about {tokens:,} tokens of descriptions in a request"
    if tokens > MANY_TOKENS:
        yield Finding(
            "note", what, "Name the tools that are wanted, or let Claude search."
        )
    else:
        yield Finding("ok", what)

    for note in notes_on(session):
        yield Finding("note", note)

    for tool in tools:
        if not tool.description.strip():
            fix = "Its author should say what it does: a model chooses by that."
            yield Finding("note", f"{tool.name} has no description", fix)
