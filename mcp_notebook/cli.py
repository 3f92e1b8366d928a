"""The command `mcp-notebook`: notebooks run and frozen, servers asked and served. What a
command takes stands here; its work stands in a module that only that command loads.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from mcp_notebook import __version__
from mcp_notebook.errors import ConfigError, NotebookError

LOCAL_MODELS = (
    "Local models are served by llama.cpp, Ollama, LM Studio or vLLM themselves: start "
    "one and set ANTHROPIC_BASE_URL to it; docs/local_models.md says how."
)
QUICKSTART = "01_quickstart.ipynb"
SERVER_HELP = (
    "a name from .mcp.json, a URL, a database (shop.db, sqlite:///shop.db, "
    'postgresql://...), or a command in quotes: "uvx some-server"'
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0 done, 1 a notebook's cell
    failed, 2 what was asked for could not be done.
    """
    if argv is None:
        words = sys.argv[1:]
    else:
        words = list(argv)

    try:
        if words[:1] == ["local"]:
            raise ConfigError(LOCAL_MODELS)

        args = parser(words[:1]).parse_args(words)
        module, _, function = COMMANDS[words[0]].work.partition(":")
        work = getattr(import_module(f"mcp_notebook.{module}"), function)
        return work(args)
    except NotebookError as error:
        print(f"mcp-notebook: {error.message}", file=sys.stderr)
        if error.detail:
            print(error.detail, file=sys.stderr)

        return 2


def parser(named: Container[str] = ()) -> argparse.ArgumentParser:
    """The arguments of the command line; only the named commands know their own."""
    top = argparse.ArgumentParser(
        prog="mcp-notebook", description="Ask any MCP server from a notebook or here."
    )
    top.add_argument(
        "--version", action="version", version=f"mcp-notebook {__version__}"
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        own = commands.add_parser(name, help=command.help, description=command.help)
        if name in named:
            command.add_arguments(own)

    return top


def add_demo(parser: argparse.ArgumentParser) -> None:
    """Add the options of `mcp-notebook demo`."""
    parser.add_argument(
        "--run",
        dest="execute",
        action="store_true",
        help="execute headless and print every output",
    )
    parser.add_argument(
        "--save",
        action="store_true",
        help="with --run: write the outputs into the notebook",
    )
    parser.add_argument(
        "notebook", nargs="?", default=QUICKSTART, help=f"default: {QUICKSTART}"
    )


def add_freeze(parser: argparse.ArgumentParser) -> None:
    """Add the options of `mcp-notebook freeze`."""
    parser.add_argument("notebook", type=Path, metavar="NOTEBOOK")
    parser.add_argument("tables", nargs="*", help="just what makes these tables")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help="a .ipynb or a .py file",
    )
    parser.add_argument("--force", action="store_true", help="replace the file")
    parser.add_argument(
        "--as-test",
        action="store_true",
        help="write a .py file for pytest, which fails where a table is not as it was",
    )


def add_execution(parser: argparse.ArgumentParser) -> None:
    """Add the options of `mcp-notebook run` and `replay`."""
    parser.add_argument("notebook", type=Path, metavar="NOTEBOOK")
    parser.add_argument(
        "--save", action="store_true", help="write the outputs into the notebook"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="write the executed notebook here",
    )
    parser.add_argument(
        "--quiet", action="store_true", help="print no cells, only what failed"
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="fail where a recorded answer was written for other data",
    )


def add_replay(parser: argparse.ArgumentParser) -> None:
    """Add the options of `mcp-notebook replay`."""
    add_execution(parser)
    parser.add_argument(
        "--offline",
        action="store_true",
        help="replay what tools gave, too (%%claude_record on --tools): no server starts",
    )
    parser.add_argument(
        "--report",
        choices=["html", "md"],
        help="write NAME.replay.html or .md here: each cell, how it ended, what differs",
    )


def add_connect(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `mcp-notebook connect`."""
    parser.add_argument("server", metavar="SERVER", help=SERVER_HELP)
    parser.add_argument("--json", action="store_true", help="print JSON")


def add_completion(parser: argparse.ArgumentParser) -> None:
    """Add the argument of `mcp-notebook completion`."""
    parser.add_argument("shell", choices=["bash", "zsh", "fish"])


def add_tools(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `mcp-notebook tools`."""
    parser.add_argument("server", metavar="SERVER", help=SERVER_HELP)
    parser.add_argument(
        "words", nargs="*", help="only tools whose name or description holds these"
    )
    parser.add_argument("--json", action="store_true", help="print the schemas as JSON")


def add_call(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `mcp-notebook call`."""
    parser.add_argument("server", metavar="SERVER", help=SERVER_HELP)
    parser.add_argument("tool", metavar="TOOL")
    parser.add_argument(
        "arguments",
        nargs="*",
        metavar="NAME=VALUE",
        help="its arguments, or one JSON object: '{\"limit\": 10}'",
    )
    _add_output(parser)


def add_sql(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `mcp-notebook sql`."""
    parser.add_argument("server", metavar="SERVER", help=SERVER_HELP)
    parser.add_argument("sql", metavar="SQL", help="a statement; - reads it from stdin")
    parser.add_argument("--tool", default="", help="the tool that takes SQL")
    _add_output(parser)


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="write the table to a .csv, .json or .parquet file",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="print CSV")
    form.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--timeout", type=float, default=0, metavar="SECONDS", help="of the call"
    )


def add_doctor(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `mcp-notebook doctor`."""
    parser.add_argument("server", nargs="?", default="", help=SERVER_HELP)
    parser.add_argument("--json", action="store_true", help="print JSON")


def add_lint(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `mcp-notebook lint`."""
    parser.add_argument("server", metavar="SERVER", help=SERVER_HELP)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--strict", action="store_true", help="fail on notes, too")
    parser.add_argument(
        "--call",
        action="store_true",
        help="call tools that only read and need no argument, to see how large they are",
    )


def add_serve(parser: argparse.ArgumentParser) -> None:
    """Add the servers and their options to the parser of `mcp-notebook serve`."""
    # The bundled servers' own module, which other commands do without
    import_module("mcp_notebook.sharing.commands").add_arguments(parser)


@dataclass(frozen=True)
class Command:
    """One word after `mcp-notebook`. `work`: module and function, which takes the parsed
    arguments and returns the exit code.
    """

    add_arguments: Callable[[argparse.ArgumentParser], None]
    work: str
    help: str


COMMANDS = {
    "demo": Command(
        add_demo,
        "notebook_commands:demo",
        "open the quickstart notebook in JupyterLab, or --run it",
    ),
    "run": Command(
        add_execution, "notebook_commands:run", "execute a notebook headless"
    ),
    "replay": Command(
        add_replay,
        "notebook_commands:replay",
        "execute a notebook with its recorded turns, without a key",
    ),
    "freeze": Command(
        add_freeze,
        "notebook_commands:freeze",
        "execute a notebook and write it as plain cells without a model",
    ),
    "connect": Command(
        add_connect,
        "server_commands:try_connect",
        "connect a server once and say what it is",
    ),
    "tools": Command(
        add_tools, "server_commands:list_tools", "list the tools of a server"
    ),
    "call": Command(
        add_call, "server_commands:call_tool", "call a tool: a table, or text"
    ),
    "sql": Command(add_sql, "server_commands:query", "ask a server's database"),
    "doctor": Command(
        add_doctor,
        "doctor:run",
        "say what is here, what is missing and what to do; of a server, how it does",
    ),
    "lint": Command(
        add_lint,
        "lint:run",
        "say what in a server's tools makes a model call them wrongly, for authors",
    ),
    "completion": Command(
        add_completion,
        "shell_completion:run",
        "print what completes these commands in bash, zsh or fish",
    ),
    "serve": Command(
        add_serve,
        "sharing.commands:run",
        "serve a database, pages or a notebook as an MCP server",
    ),
}
