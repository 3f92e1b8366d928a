"""The command `mcp-notebook`: the demo and the bundled servers."""

import argparse
import sys
from collections.abc import Sequence

from mcp_notebook import __version__, demo
from mcp_notebook.errors import ConfigError, NotebookError
from mcp_notebook.sharing import commands as server

LOCAL_MODELS = (
    "Local models are served by llama.cpp, Ollama, LM Studio or vLLM themselves: start "
    "one and set ANTHROPIC_BASE_URL to it; docs/local_models.md says how."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0 done, 1 the demo failed, 2 the
    words were wrong.
    """
    if argv is None:
        words = sys.argv[1:]
    else:
        words = list(argv)

    try:
        if words[:1] == ["local"]:
            raise ConfigError(LOCAL_MODELS)

        args = parser().parse_args(words)
        return args.run(args)
    except NotebookError as error:
        print(f"mcp-notebook: {error.message}", file=sys.stderr)
        if error.detail:
            print(error.detail, file=sys.stderr)

        return 2


def parser() -> argparse.ArgumentParser:
    """The command's arguments; building it imports nothing slow."""
    top = argparse.ArgumentParser(
        prog="mcp-notebook", description="Ask any MCP server from a notebook cell."
    )
    top.add_argument(
        "--version", action="version", version=f"mcp-notebook {__version__}"
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    demo.add_arguments(
        commands.add_parser(
            "demo", help="open the quickstart notebook in JupyterLab, or --run it"
        )
    )
    server.add_arguments(
        commands.add_parser(
            "serve", help="serve a database, read-only, as an MCP server"
        )
    )
    return top
