"""`mcp-notebook demo | run | replay | freeze`: a notebook opened in JupyterLab, or
executed headless with what each cell gives.
"""

from __future__ import annotations

import argparse
import ast
import html
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


def run(
    args: argparse.Namespace,
    backend: str = "auto",
    *,
    offline: bool = False,
    report: Path | None = None,
) -> int:
    """Execute a notebook; 1 when a cell failed."""
    path = require_notebook(args.notebook)
    save_to = args.output or (path if args.save else None)
    return execute(
        path,
        save_to=save_to,
        backend=backend,
        quiet=args.quiet,
        strict=args.strict,
        offline=offline,
        report=report,
    )


def replay(args: argparse.Namespace) -> int:
    """Execute a notebook with its recorded turns; 1 when a cell failed."""
    report = None
    if args.report:
        report = Path.cwd() / f"{args.notebook.stem}.replay.{args.report}"

    return run(args, backend="replay", offline=args.offline, report=report)


def freeze(args: argparse.Namespace) -> int:
    """Execute a notebook and write what ran as plain cells without a model."""
    path = require_notebook(args.notebook)
    output: Path = args.output.resolve()
    if output.suffix not in (".ipynb", ".py"):
        raise ConfigError(f"-o writes .ipynb or .py files, not {output.name!r}.")
    if args.as_test and output.suffix != ".py":
        raise ConfigError(f"--as-test writes a .py file, not {output.name!r}.")
    if output.exists() and not args.force:
        raise ConfigError(f"{args.output} is there already; --force replaces it.")

    names = " ".join(args.tables) or "--all-cells"
    # One more cell of the run: what ran is known in the kernel alone.
    magic = f"%mcp_freeze {names} --to {shlex.quote(str(output))} --force"
    code = execute(path, quiet=True, then=magic)
    if code == 0 and args.as_test:
        script = output.read_text(encoding="utf-8")
        output.write_text(as_test(script, output.stem), encoding="utf-8")

    return code


def as_test(script: str, name: str) -> str:
    """A frozen script as one function for pytest: it fails where a check does."""
    tree = ast.parse(script)
    first = tree.body[0] if tree.body else None
    has_words = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    start = (first.end_lineno or 0) if has_words and first is not None else 0
    lines = script.splitlines(keepends=True)
    # A line inside a text of several lines must stay as it is.
    inside = {
        at
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant | ast.JoinedStr)
        for at in range(node.lineno + 1, (node.end_lineno or 0) + 1)
        if _is_multiline(node, lines)
    }
    body = [
        line if at in inside or not line.strip() else f"    {line}"
        for at, line in enumerate(lines[start:], start + 1)
    ]
    head = "".join(lines[:start])
    words = re.sub(r"\W+", "_", name.removeprefix("test_")).strip("_") or "frozen"
    return f"{head}\n\ndef test_{words}():\n{''.join(body).lstrip(chr(10))}"


def _is_multiline(node: ast.expr, lines: list[str]) -> bool:
    # Literals one below the other are one constant, too, and may be indented.
    source = lines[node.lineno - 1].encode()[node.col_offset :]
    return source.lstrip(b"rbfuRBFU")[:3] in (b'"""', b"'''")


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
    strict: bool = False,
    offline: bool = False,
    report: Path | None = None,
) -> int:
    """Run the notebook headless in its own folder and print each cell and its outputs
    as they come; 1 when a cell failed, which ends the run.

    `backend`: who answers, as `MCPNotebook.backend` says it. `then`: a cell more, run
    and shown after the others and not saved. `strict`: a recorded answer to other data
    fails its cell. `offline`: recorded results in place of servers.
    `report`: a .md or .html file about the run.
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
        extra_arguments=[
            f"--MCPNotebook.backend={backend}",
            f"--MCPNotebook.strict={strict}",
            f"--MCPNotebook.offline={offline}",
        ],
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

    stopped = failed_cell(notebook, failed) if failed is not None else ""
    if report is not None:
        write_report(report, path.name, notebook, stopped)
        print(f"{report.name} says how each cell went.", file=sys.stderr)
    if not stopped:
        return 0

    words = visible(f"mcp-notebook: {path.name} stopped at {stopped}", lines=True)
    print(words, file=sys.stderr)
    return 1


def write_report(file: Path, name: str, notebook: Any, stopped: str) -> None:
    """Write how a run went: each code cell, whether it ran, and what was noted of it,
    such as rows that are not as they were recorded.
    """
    heading = f"Stopped at {stopped}" if stopped else "Every cell ran."
    rows = []
    for number, cell in enumerate(notebook.cells, 1):
        if cell.cell_type == "code":
            rows.append((number, _first_line(cell), _end_of(cell), _notes_of(cell)))

    if file.suffix == ".html":
        text = _write_html(name, heading, rows)
    else:
        text = _write_markdown(name, heading, rows)

    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}.") from None


_Row = tuple[int, str, str, list[str]]


def _first_line(cell: Any) -> str:
    lines = cell.source.strip().splitlines()
    is_question = lines[:1] and lines[0].startswith("%%claude") and lines[1:]
    return visible(" ".join(lines[:2] if is_question else lines[:1])[:100])


def _end_of(cell: Any) -> str:
    if any(output.output_type == "error" for output in cell.outputs):
        return "failed"
    return "ran" if cell.execution_count is not None else "not run"


def _notes_of(cell: Any) -> list[str]:
    """The lines that a cell shows with a sign before them."""
    lines = [
        line
        for output in cell.outputs
        for line in _readable(output).splitlines()
        if line.startswith("! ")
    ]
    return [visible(_COLOURS.sub("", line[2:])) for line in lines]


def _write_markdown(name: str, heading: str, rows: list[_Row]) -> str:
    def quote(text: str) -> str:
        return text.replace("|", "\\|").replace("`", "'")

    lines = [f"# {name}", "", quote(visible(heading)), "", "| | cell | | noted |"]
    lines.append("|---|---|---|---|")
    for number, source, end, notes in rows:
        noted = "<br>".join(html.escape(quote(note)) for note in notes)
        lines.append(f"| {number} | `{quote(source)}` | {end} | {noted} |")

    return "\n".join(lines) + "\n"


def _write_html(name: str, heading: str, rows: list[_Row]) -> str:
    title, said = html.escape(name), html.escape(visible(heading))
    body = []
    for number, source, end, notes in rows:
        noted = "<br>".join(map(html.escape, notes))
        code = f"<code>{html.escape(source)}</code>"
        cells = (str(number), code, end, noted)
        body.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")

    style = "body{font-family:sans-serif;margin:2em}td{padding:2px 12px 2px 0}"
    head = f"<meta charset='utf-8'><title>{title}</title><style>{style}</style>"
    table = "<table>\n" + "\n".join(body) + "\n</table>"
    return f"<!doctype html>\n{head}\n<h1>{title}</h1>\n<p>{said}</p>\n{table}\n"


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
