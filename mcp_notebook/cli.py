"""The command `mcp-notebook`: notebooks run and frozen, servers asked and served."""

import argparse
import sys
from collections.abc import Container, Sequence
from importlib import import_module

from mcp_notebook import __version__
from mcp_notebook.errors import ConfigError, NotebookError

LOCAL_MODELS = (
    "Local models are served by llama.cpp, Ollama, LM Studio or vLLM themselves: start "
    "one and set ANTHROPIC_BASE_URL to it; docs/local_models.md says how."
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
        return args.run(args)
    except NotebookError as error:
        print(f"mcp-notebook: {error.message}", file=sys.stderr)
        if error.detail:
            print(error.detail, file=sys.stderr)

        return 2


# Each command's module is loaded when it is the one that was asked for, or for help.
COMMANDS: dict[str, tuple[str, str, str]] = {
    "demo": (
        "notebook_commands",
        "add_demo",
        "open the quickstart notebook in JupyterLab, or --run it",
    ),
    "run": ("notebook_commands", "add_run", "execute a notebook headless"),
    "replay": (
        "notebook_commands",
        "add_replay",
        "execute a notebook with its recorded turns, without a key",
    ),
    "freeze": (
        "notebook_commands",
        "add_freeze",
        "execute a notebook and write it as plain cells without a model",
    ),
    "tools": ("server_commands", "add_tools", "list the tools of a server"),
    "call": ("server_commands", "add_call", "call a tool: a table, or text"),
    "sql": ("server_commands", "add_sql", "ask a server's database"),
    "serve": (
        "sharing.commands",
        "add_arguments",
        "serve a database, pages or a notebook as an MCP server",
    ),
}


def parser(named: Container[str] = ()) -> argparse.ArgumentParser:
    """The arguments of the command line; only the named commands know their own, so
    that nothing else is imported.
    """
    top = argparse.ArgumentParser(
        prog="mcp-notebook", description="Ask any MCP server from a notebook or here."
    )
    top.add_argument(
        "--version", action="version", version=f"mcp-notebook {__version__}"
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for name, (module, add, help_text) in COMMANDS.items():
        own = commands.add_parser(name, help=help_text, description=help_text)
        if name in named:
            getattr(import_module(f"mcp_notebook.{module}"), add)(own)

    return top
