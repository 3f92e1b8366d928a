"""The command `mcp-notebook`: the demo and the bundled servers."""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mcp_notebook import __version__
from mcp_notebook.errors import ConfigError, NotebookError
from mcp_notebook.sharing import commands as server

# `mcp-notebook demo`: the quickstart in JupyterLab, or executed headless with what each
# cell gave.


QUICKSTART = "01_quickstart.ipynb"
PACKAGED = Path(__file__).parent / "_notebooks"
COPY = "mcp-notebook-demo"


def add_arguments(parser: argparse.ArgumentParser) -> None:
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
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Open or execute the notebook; returns the exit code."""
    path = find(args.notebook)
    if args.execute:
        return execute(path, save=args.save)
    return open_lab(path)


def find(name: str, start: Path | None = None) -> Path:
    """The notebook: as named, in `notebooks/` here, or in a copy of the packaged ones
    that is made here.
    """
    start = start or Path.cwd()
    for candidate in (start / name, start / "notebooks" / name, start / COPY / name):
        if candidate.exists():
            return candidate

    if not (PACKAGED / name).exists():
        raise ConfigError(
            f"There is no notebook {name!r} here; run mcp-notebook demo without a name."
        )

    shutil.copytree(PACKAGED, start / COPY)
    return start / COPY / name


def open_lab(path: Path) -> int:
    """Open JupyterLab on the notebook."""
    return subprocess.call(_lab_command(path))


def _lab_command(path: Path) -> list[str]:
    try:
        import jupyterlab  # noqa: F401 - asked only whether it is there; part of the `lab` extra
    except ImportError:
        raise ConfigError(
            'JupyterLab is not installed: pip install "mcp-notebook[lab]".'
        ) from None

    if hasattr(os, "geteuid") and os.geteuid() == 0:
        as_root = ["--allow-root"]
    else:
        as_root = []

    return [sys.executable, "-m", "jupyterlab", str(path), *as_root]


def execute(path: Path, *, save: bool) -> int:
    """Run the notebook headless in its own folder, print each cell and its outputs; 1
    when a cell failed.
    """
    try:
        import nbclient.exceptions
        import nbformat  # part of the `lab` extra, not needed by the extension
    except ImportError:
        raise ConfigError(
            'The demo needs the lab extra: pip install "mcp-notebook[lab]".'
        ) from None

    notebook: Any = nbformat.read(path, as_version=4)
    # nbclient does not tell the kernel which notebook it runs; JupyterLab does, through
    # this variable.
    environ = {**os.environ, "JPY_SESSION_NAME": str(path.resolve())}
    client = nbclient.NotebookClient(
        notebook, timeout=600, resources={"metadata": {"path": str(path.parent)}}
    )
    try:
        client.execute(env=environ)
    except nbclient.exceptions.CellExecutionError:
        show(notebook)
        return 1

    show(notebook)
    if save:
        nbformat.write(notebook, path)

    return 0


def show(notebook: Any) -> None:
    """Print each executed cell with what it gave."""
    for cell in notebook.cells:
        if cell.cell_type != "code" or (
            not cell.outputs and cell.execution_count is None
        ):
            continue

        print(
            f"In [{cell.execution_count or ' '}]: "
            + cell.source.replace("\n", "\n        ")
        )
        for output in cell.outputs:
            text = _readable(output)
            if text.strip():
                print(text.rstrip())

        print()


def _readable(output: Any) -> str:
    if output.output_type == "stream":
        return output.text
    if output.output_type == "error":
        return "\n".join(output.traceback)

    data = output.data
    if "text/markdown" in data:
        return data["text/markdown"]

    return data.get("text/plain", f"[{', '.join(data)}]")


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
    add_arguments(
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
