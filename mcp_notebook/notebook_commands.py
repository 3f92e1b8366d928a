"""`mcp-notebook demo | run | replay | freeze`: a notebook opened in JupyterLab, or
executed headless with what each cell gives.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mcp_notebook.errors import ConfigError
from mcp_notebook.untrusted_text import visible

PACKAGED = Path(__file__).parent / "_notebooks"
COPY = "mcp-notebook-demo"

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def demo(args: argparse.Namespace) -> int:
    """Open or execute the demo; returns the exit code."""
    path = find(args.notebook)
    if not args.execute:
        return open_lab(path)

    return execute(path, save_to=path if args.save else None)


def run(args: argparse.Namespace, backend: str = "auto") -> int:
    """Execute a notebook; 1 when a cell failed."""
    path = require_notebook(args.notebook)
    save_to = args.output or (path if args.save else None)
    return execute(path, save_to=save_to, backend=backend, quiet=args.quiet)


def replay(args: argparse.Namespace) -> int:
    """Execute a notebook with its recorded turns; 1 when a cell failed."""
    return run(args, backend="replay")


def freeze(args: argparse.Namespace) -> int:
    """Execute a notebook and write what ran as plain cells without a model."""
    path = require_notebook(args.notebook)
    output: Path = args.output.resolve()
    if output.suffix not in (".ipynb", ".py"):
        raise ConfigError(f"-o writes .ipynb or .py files, not {output.name!r}.")
    if output.exists() and not args.force:
        raise ConfigError(f"{args.output} is there already; --force replaces it.")

    names = " ".join(args.tables) or "--all-cells"
    # One more cell of the run: what ran is known in the kernel alone.
    magic = f"%mcp_freeze {names} --to {shlex.quote(str(output))} --force"
    return execute(path, quiet=True, then=magic)


def require_notebook(path: Path) -> Path:
    """The notebook that was named. Raises ConfigError when there is none."""
    if not path.is_file():
        raise ConfigError(f"There is no notebook {path}.")

    return path


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
    if find_spec("jupyterlab") is None:
        raise ConfigError(
            'JupyterLab is not installed: pip install "mcp-notebook[lab]".'
        )

    if hasattr(os, "geteuid") and os.geteuid() == 0:
        as_root = ["--allow-root"]
    else:
        as_root = []

    return [sys.executable, "-m", "jupyterlab", str(path), *as_root]


def execute(
    path: Path,
    *,
    save_to: Path | None = None,
    backend: str = "auto",
    quiet: bool = False,
    then: str = "",
) -> int:
    """Run the notebook headless in its own folder and print each cell and its outputs
    as they come; 1 when a cell failed, which ends the run.

    `backend`: who answers, as `MCPNotebook.backend` says it. `then`: a cell more, run
    and shown after the others and not saved.
    """
    try:
        # parts of the `lab` extra, not needed by the extension
        import nbclient.exceptions
        import nbformat
    except ImportError:
        raise ConfigError(
            'Notebooks are run by the lab extra: pip install "mcp-notebook[lab]".'
        ) from None

    notebook: Any = nbformat.read(path, as_version=4)
    # What an earlier run gave must not be taken for what this one gives.
    clear_outputs(notebook)
    cells = len(notebook.cells)
    if then:
        notebook.cells.append(nbformat.v4.new_code_cell(then))

    def show_cell(cell: Any, cell_index: int, **_: Any) -> None:
        if not quiet or cell_index >= cells:
            show(cell, with_source=cell_index < cells)

    client = nbclient.NotebookClient(
        notebook,
        timeout=600,
        resources={"metadata": {"path": str(path.resolve().parent)}},
        record_timing=False,  # it would differ at every run
        extra_arguments=[f"--MCPNotebook.backend={backend}"],
        on_cell_executed=show_cell,
    )
    # nbclient does not tell the kernel which notebook it runs; JupyterLab does, through
    # this variable.
    environ = {**os.environ, "JPY_SESSION_NAME": str(path.resolve())}
    failed = None
    try:
        client.execute(env=environ)
    except nbclient.exceptions.CellExecutionError as error:
        failed = error

    del notebook.cells[cells:]
    if save_to is not None:
        nbformat.write(notebook, save_to)
    if failed is None:
        return 0

    cell = failed_cell(notebook, failed)
    stopped = visible(f"mcp-notebook: {path.name} stopped at {cell}", lines=True)
    print(stopped, file=sys.stderr)
    return 1


def clear_outputs(notebook: Any) -> None:
    """Take what earlier runs left out of the code cells."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
            cell.execution_count = None
            cell.metadata.pop("execution", None)


def failed_cell(notebook: Any, error: Any) -> str:
    """Which cell failed and why, on one line."""
    reason = f"{error.ename}: {error.evalue}".strip().partition("\n")[0]
    for index, cell in enumerate(notebook.cells, 1):
        kinds = [output.output_type for output in cell.get("outputs", ())]
        if "error" in kinds:
            first = cell.source.strip().partition("\n")[0]
            return f"cell {index} ({first[:60]}): {reason}"

    return f"a cell: {reason}"


def show(cell: Any, *, with_source: bool = True) -> None:
    """Print an executed cell with what it gave."""
    if with_source:
        source = cell.source.replace("\n", "\n        ")
        print(f"In [{cell.execution_count or ' '}]: {source}")

    for output in cell.outputs:
        text = _readable(output)
        if text.strip():
            # IPython's own colours go, what a server wrote is shown
            print(visible(_COLOURS.sub("", text.rstrip()), lines=True))

    print(flush=True)


def _readable(output: Any) -> str:
    if output.output_type == "stream":
        return output.text
    if output.output_type == "error":
        return "\n".join(output.traceback)

    data = output.data
    if "text/markdown" in data:
        return data["text/markdown"]

    return data.get("text/plain", f"[{', '.join(data)}]")
