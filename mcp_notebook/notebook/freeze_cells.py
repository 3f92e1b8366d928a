"""`%mcp_freeze`: what was called becomes plain cells or a script, and goes where it was
asked for.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

from mcp_notebook import __version__
from mcp_notebook.errors import ConfigError, ToolError
from mcp_notebook.freeze import writer
from mcp_notebook.freeze.sealing import Sealer
from mcp_notebook.freeze.select_calls import Surroundings, Wish, choose
from mcp_notebook.freeze.steps import FreezePlan, plan, problem_with
from mcp_notebook.notebook.options import MCPNotebook
from mcp_notebook.notebook.servers import Server
from mcp_notebook.notebook.state import Notebook
from mcp_notebook.sql_words import names_among

SUFFIXES = (".ipynb", ".py")


@dataclass(frozen=True)
class Freeze:
    """The options of one `%mcp_freeze`."""

    names: tuple[str, ...] = ()
    all_cells: bool = False
    everything: bool = False
    to: str = ""
    force: bool = False
    show: bool = False
    places: bool = True  # a cell can be put below; where not, the code is shown
    checks: bool = True
    strict: bool = True
    include_writes: bool = False
    answers: bool = False
    data: bool = False


@dataclass(frozen=True)
class Frozen:
    """What came of it: the code, the lines to say, and the file it was written to
    (None: it is for a cell).
    """

    source: str
    said: tuple[str, ...]
    file: Path | None = None


def freeze(notebook: Notebook, options: Freeze) -> Frozen:
    """Freeze; writes the file that was asked for. Raises ConfigError or DataError in
    one sentence.
    """
    file = _file(options)
    laid = _plan(notebook, options)
    if options.data and file is not None:
        data = _write_data(laid, file)
    else:
        data = ""

    style = writer.Style(options.strict, data)
    _remember(laid)
    source = _source(notebook, laid, options, style, file)
    if file is not None:
        _write(file, source, force=options.force)

    return Frozen(source, tuple(_said(notebook, laid, options, file)), file)


def _plan(notebook: Notebook, options: Freeze) -> FreezePlan:
    environ = os.environ
    around = Surroundings(
        notebook.shell.user_ns,
        [str(source) for source in notebook.shell.user_ns.get("In", ())],
        tables_read,
        lambda call: problem_with(call, environ),
    )
    notebook.adopt()
    last = notebook.trail.last_cell()
    if options.all_cells or options.names or not last:
        cells = None
    else:
        cells = (last,)

    wish = Wish(
        options.names,
        cells,
        options.everything,
        options.include_writes,
        by_hand=bool(options.to or options.show or options.all_cells or options.names),
    )
    chosen = choose(notebook.trail, wish, around)
    mask = tuple(notebook.settings.mask)
    # The code goes into this notebook: a variable of the person's is not overwritten by
    # a server's object.
    here = not options.to and not options.show
    if here:
        reserved = [
            n for n, v in notebook.shell.user_ns.items() if not isinstance(v, Server)
        ]
    else:
        reserved = ()

    sealer = Sealer(environ)
    return plan(
        chosen,
        notebook.trail,
        around,
        sealer,
        checks=options.checks,
        mask=mask,
        reserved=reserved,
    )


def tables_read(sql: str, offered: Collection[str]) -> set[str]:
    """The tables that a statement over the notebook's own reads, by DuckDB's parser; by
    its words if it cannot.
    """
    try:
        statement = _parser()(sql, offered)
    except ToolError:
        return names_among(sql, offered)

    if statement.lists_tables:
        return set(offered) & names_among(sql, offered)

    return set(statement.tables)


@cache
def _parser() -> Callable[[str, Collection[str]], Any]:
    # DuckDB is loaded by then: such a statement has run.
    from mcp_notebook.sharing import sqlguard

    connection = sqlguard.connect(threads=1, memory="100MB")
    return partial(sqlguard.check, connection)


def _source(
    notebook: Notebook,
    laid: FreezePlan,
    options: Freeze,
    style: writer.Style,
    file: Path | None,
) -> str:
    answers = options.answers
    usual = MCPNotebook.tool_timeout.default_value  # type: ignore[attr-defined]
    timeout = notebook.settings.tool_timeout
    if timeout == usual:
        timeout = 0
    else:
        timeout = timeout

    if file is None and not options.show:
        connected = {s.name for s in notebook.sessions if s.state != "closed"}
        return writer.cell(laid, style, connected=connected, answers=answers)

    heading = _heading_cell(laid)
    if file is not None and file.suffix == ".ipynb":
        return writer.document(
            writer.cells(
                laid, style, heading=f"# {heading}", answers=answers, timeout=timeout
            )
        )

    return writer.script(laid, style, heading=heading, answers=answers, timeout=timeout)


def _heading_cell(laid: FreezePlan) -> str:
    names = ", ".join(laid.names) or "calls"
    today = datetime.date.today().isoformat()
    return (
        f"Frozen: {names}\n\n"
        f"The calls of a conversation as plain code, frozen on {today} with "
        f"mcp-notebook {__version__}.\n"
        "They run without a model, a key or recorded turns."
    )


def _file(options: Freeze) -> Path | None:
    if not options.to:
        if options.data:
            raise ConfigError(
                "--with-data writes rows beside a file; name the file: --to analysis.ipynb."
            )

        return None

    file = Path(options.to).expanduser()
    if file.suffix not in SUFFIXES:
        raise ConfigError(
            f"--to writes a notebook or a script: {file.name} should end with .ipynb or .py."
        )
    if file.exists() and not options.force:
        raise ConfigError(
            f"{file} is there already; choose another name, or replace it with --force."
        )
    if not file.parent.is_dir():
        raise ConfigError(f"There is no folder {file.parent}; make it first.")

    return file


def _write(file: Path, source: str, *, force: bool) -> None:
    try:
        with file.open(
            "w" if force else "x",
            encoding="utf-8",
            errors="backslashreplace",
            newline="\n",
        ) as opened:
            opened.write(source)
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be written: {error.strerror or error}."
        ) from None


def _write_data(laid: FreezePlan, file: Path) -> str:
    """Write the rows of each table beside the file; returns the folder's name."""
    folder = file.with_suffix(".frozen")
    folder.mkdir(exist_ok=True)
    for check in (check for step in laid.steps for check in step.checks):
        try:
            check.frame.to_parquet(folder / f"{check.name}.parquet")
        except (OSError, ValueError, TypeError) as error:
            words = (
                f"The rows of {check.name} cannot be written as Parquet "
                f"({error}); freeze without --with-data."
            )
            raise ConfigError(words) from None

    return folder.name


def _remember(laid: FreezePlan) -> None:
    """Hold on to the rows, so that a check in this kernel can say which of them changed."""
    made = [check for step in laid.steps for check in step.checks]
    if made:
        remember = import_module("mcp_notebook.freeze.compare").remember
        for check in made:
            remember(check.frame, check.fingerprint)


def _said(
    notebook: Notebook, laid: FreezePlan, options: Freeze, file: Path | None
) -> list[str]:
    count = sum(not step.why_not for step in laid.steps)
    calls = f"{count} call{'s' * (count != 1)}"
    if file is not None:
        where = f"written to {file}"
    else:
        if options.places and not options.show:
            where = "in the next cell"
        else:
            where = "as above"

    if laid.names:
        tables = f" → {', '.join(laid.names)}"
    else:
        tables = ""

    said = [f"Frozen: {calls}{tables}, {where}."]
    dead = [
        f"{step.call.server}.{step.call.tool}" for step in laid.steps if step.why_not
    ]
    if dead:
        said.append(
            f"Commented out, each with its reason: {', '.join(dict.fromkeys(dead))}."
        )

    said += [f"Left out: {line}." for line in laid.left_out]
    if laid.left_out and not options.everything:
        said[-1] += " --all takes them too."

    if laid.own:
        said.append(
            f"Made by your own code, so the cells that make it belong above: {', '.join(laid.own)}."
        )

    said += [
        f"Set {name} in the environment: a secret stood there."
        for name in laid.sealer.missing
    ]
    if file is not None and file.parent.resolve() != Path.cwd().resolve():
        said.append(
            f"{file.name} runs in its own folder: mind relative paths where servers are connected."
        )

    return said
