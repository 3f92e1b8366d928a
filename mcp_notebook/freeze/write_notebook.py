"""Steps as a notebook: `%%mcp_sql` cells for SQL, Python for other tools, a check after
each table.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from IPython.core.inputtransformer2 import TransformerManager

from mcp_notebook.config.options import ConnectOptions
from mcp_notebook.errors import ConfigError
from mcp_notebook.freeze.sealing import Secret, call, comment_out, literal, quote_text
from mcp_notebook.freeze.steps import FreezePlan, Step
from mcp_notebook.freeze.write_step import (
    WORDS,
    Style,
    alias_lines,
    answer_lines,
    check_sources,
    environment_lines,
    import_lines,
    is_own_query,
    note_lines,
    own_table_lines,
    question_lines,
    step_source,
    uses_object,
    why_not_line,
)
from mcp_notebook.naming import OWN_SERVER

# Steps as a Python script: it runs with plain `python`, and in one cell of a notebook.


def script(
    plan: FreezePlan,
    style: Style,
    *,
    heading: str,
    answers: bool = False,
    timeout: float = 0,
) -> str:
    """The whole script. `timeout`: seconds of a call when it is not the usual one."""
    blocks = list(_blocks(plan, style, answers))
    lines = [f"# {line}".rstrip() for line in heading.split("\n")]
    lines += [*environment_lines(plan), "", *import_lines(blocks), ""]
    lines += [f"mcp_notebook.settings.tool_timeout = {timeout:g}"] if timeout else []
    lines += [connect(plan, route) for route in plan.routes]
    return _join_blocks([*lines, *own_table_lines(plan)], blocks) + "\n"


def cell(
    plan: FreezePlan, style: Style, *, connected: Collection[str], answers: bool = False
) -> str:
    """The same as one cell of the notebook that is open; servers in `connected` are,
    and need no line.
    """
    blocks = list(_blocks(plan, style, answers))
    lines = [*environment_lines(plan), *import_lines(blocks), ""]
    used = {
        step.call.server
        for step in plan.steps
        if uses_object(step) and not step.why_not
    }
    for route in plan.routes:
        if route.name not in connected:
            lines.append(connect(plan, route))
        elif route.name in used:
            lines.append(server_object(plan, route.name))

    return _join_blocks([*lines, *own_table_lines(plan)], blocks)


def connect(plan: FreezePlan, route: ConnectOptions) -> str:
    """The statement that connects a server."""
    if route.in_process:
        return (
            f"# {route.name} is a server object of your own code: "
            "connect it here with mcp_notebook.connect."
        )

    target, options = route.to_call()
    words = [quote_text(route.name), *([quote_text(target)] if target else [])]
    given = [f"{name}={literal(value, None)}" for name, value in options.items()]
    if route.name in plan.servers:
        prefix = f"{plan.servers[route.name]} = "
    else:
        prefix = ""

    return call("mcp_notebook.connect", [*words, *given], prefix=prefix)


def server_object(plan: FreezePlan, name: str) -> str:
    """The statement that gives a connected server its variable."""
    return f"{plan.servers[name]} = mcp_notebook.server({quote_text(name)})"


def _join_blocks(lines: list[str], blocks: list[str]) -> str:
    return "\n".join(lines).rstrip() + "\n\n" + "\n\n".join(blocks)


def _blocks(plan: FreezePlan, style: Style, answers: bool) -> Iterator[str]:
    cell = ""
    for step in plan.steps:
        asked = []
        if step.call.cell != cell and step.call.cell in plan.runs:
            asked = list(_question_comments(plan, step.call.cell, answers))

        cell = step.call.cell
        yield "\n".join([*asked, *_block(plan, step, style)])


def _question_comments(plan: FreezePlan, cell: str, answers: bool) -> Iterator[str]:
    run = plan.runs[cell]
    first, *others = question_lines(run) or [""]
    yield f"# Asked: {first}".rstrip()
    yield from (f"# {line}".rstrip() for line in others)
    if answers and answer_lines(run):
        yield "#"
        yield f"# {WORDS}"
        yield from (f"# | {line}".rstrip() for line in answer_lines(run))


def _block(plan: FreezePlan, step: Step, style: Style) -> list[str]:
    if step.route is not None:
        moved = [connect(plan, step.route)]
    else:
        moved = []

    if step.why_not:
        return [
            why_not_line(step),
            comment_out("\n".join([*moved, step_source(step, plan)])),
        ]

    return [
        *moved,
        *note_lines(step),
        step_source(step, plan),
        *alias_lines(step),
        *check_sources(step, style),
    ]


@dataclass(frozen=True)
class Cell:
    """One cell."""

    kind: Literal["markdown", "code"]
    source: str


def cells(
    plan: FreezePlan,
    style: Style,
    *,
    heading: str,
    answers: bool = False,
    timeout: float = 0,
) -> list[Cell]:
    """All cells of a notebook that runs from its first to its last. `timeout`: as in `script`."""
    steps = list(_steps(plan, style, answers))
    setup = [
        *environment_lines(plan),
        *import_lines(c.source for c in steps if c.kind == "code"),
        "",
        "%load_ext mcp_notebook",
    ]
    setup += [f"%config MCPNotebook.tool_timeout = {timeout:g}"] if timeout else []
    setup += [_connect(plan, route) for route in plan.routes]
    used = {step.call.server for step in plan.steps if _needs_object(step, plan)}
    setup += [
        server_object(plan, route.name)
        for route in plan.routes
        if route.name in used and _has_line(route)
    ]

    made = [Cell("markdown", heading), Cell("code", "\n".join(setup).rstrip())]
    if plan.own:
        own = [*own_table_lines(plan), f"%mcp_share {' '.join(plan.own)}"]
        made.append(Cell("code", "\n".join(own)))

    return [*made, *steps]


def document(written: Sequence[Cell]) -> str:
    """The cells as a file of nbformat 4.5."""
    made = [_as_json(number, cell) for number, cell in enumerate(written)]
    metadata = {
        "kernelspec": {
            "display_name": "Python 3",
            "language": "python",
            "name": "python3",
        },
        "language_info": {"name": "python"},
    }
    whole = {"cells": made, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def _as_json(number: int, cell: Cell) -> dict[str, Any]:
    # The id tells of the content, so that freezing the same run again gives the same file.
    digest = hashlib.sha256(
        f"{number} {cell.source}".encode("utf-8", "surrogatepass")
    ).hexdigest()[:12]
    made = {
        "cell_type": cell.kind,
        "id": digest,
        "metadata": {},
        "source": cell.source.splitlines(keepends=True),
    }
    if cell.kind == "markdown":
        return made

    return {**made, "execution_count": None, "outputs": []}


def _steps(plan: FreezePlan, style: Style, answers: bool) -> Iterator[Cell]:
    cell = ""
    for step in plan.steps:
        if step.call.cell != cell and step.call.cell in plan.runs:
            yield Cell("markdown", _question_cell(plan, step.call.cell, answers))
        cell = step.call.cell
        yield from _cells_of(plan, step, style)


def _question_cell(plan: FreezePlan, cell: str, answers: bool) -> str:
    run = plan.runs[cell]
    said = "\n".join(["Asked:", "", *_verbatim(question_lines(run))])
    if answers and answer_lines(run):
        said += "\n".join(["", "", WORDS, "", *_verbatim(answer_lines(run))])
    return said


def _verbatim(lines: list[str]) -> list[str]:
    """Words that are shown and not rendered: a model's markdown could load a picture
    from anywhere.
    """
    begins = [re.match(r"\s*(`*)", line) for line in lines]
    longest = max((len(found[1]) for found in begins if found), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}text", *lines, fence]


def _cells_of(plan: FreezePlan, step: Step, style: Style) -> Iterator[Cell]:
    if step.route is not None:
        moved = [_connect(plan, step.route)]
    else:
        moved = []

    magic = _magic(step, plan)
    if step.why_not:
        call = "\n".join([*moved, magic or step_source(step, plan)])
        yield Cell("code", f"{why_not_line(step)}\n{comment_out(call)}")
        return

    before = [*moved, *note_lines(step)]
    after = [*alias_lines(step), *check_sources(step, style)]
    if not magic:
        yield Cell("code", "\n".join([*before, step_source(step, plan), *after]))
        return

    # a cell magic takes its whole cell: what stands around it goes into others
    if before:
        yield Cell("code", "\n".join(before))

    yield Cell("code", magic)
    if after:
        yield Cell("code", "\n".join(after))


def _needs_object(step: Step, plan: FreezePlan) -> bool:
    return uses_object(step) and not step.why_not and not _magic(step, plan)


def _magic(step: Step, plan: FreezePlan) -> str:
    """The step as a magic that gives its table the right name, "" where Python has to do it."""
    if len(step.names) > 1:
        return ""
    if step.call.kind == "resource":
        return _read_magic(step)
    return _sql_magic(step, plan)


def _into(step: Step) -> str:
    if step.names:
        return f" --into {step.names[0]}"
    return ""


def _read_magic(step: Step) -> str:
    uri = step.call.arguments["uri"]
    line = f"%mcp_read {step.call.server} {uri}{_into(step)}"
    is_whole = len(line.split()) == 5  # neither name nor address is broken by a space
    if step.names and is_whole and _is_line(line):
        return line
    return ""


def _sql_magic(step: Step, plan: FreezePlan) -> str:
    call = step.call
    text = _sql_alone(step, plan)
    if text is None:
        return ""

    tool = ""
    if not _is_own(step) and not call.facts.only:
        if not re.fullmatch(r"[\w.-]+", call.tool):
            return ""

        tool = f" --tool {call.tool}"

    line = f"{call.server}{_into(step)}{tool}"
    cell = f"%%mcp_sql {line}\n{text.strip()}"
    if _magic_of(cell) == (line, text.strip()):
        return cell

    return ""


def _sql_alone(step: Step, plan: FreezePlan) -> str | None:
    """The SQL of a call that is nothing but its SQL, without a secret in it; else None."""
    call = step.call
    own = _is_own(step)
    if own:
        name = "sql"
    else:
        name = call.facts.sql

    if not name or set(call.arguments) != {name}:
        return None

    text = call.arguments[name]
    if not isinstance(text, str) or (call.server == OWN_SERVER and not own):
        return None

    pieces = plan.sealer.pieces(text, call.server, sql=True)
    if any(isinstance(piece, Secret) for piece in pieces):
        return None

    return text


def _is_own(step: Step) -> bool:
    """SQL over the notebook's own tables, under the names that they have there."""
    needs = step.needs.items()
    return is_own_query(step) and all(name == variable for name, variable in needs)


def _connect(plan: FreezePlan, route: ConnectOptions) -> str:
    if _has_line(route):
        return route.to_line()
    return connect(plan, route)


def _has_line(route: ConnectOptions) -> bool:
    """Whether a line of %mcp_connect says all of it."""
    line = route.to_line()
    if route.in_process or not _is_line(line):
        return False

    try:
        return ConnectOptions.from_line(line.removeprefix("%mcp_connect ")) == route
    except ConfigError:  # a command that begins with --
        return False


def _is_line(line: str) -> bool:
    """Whether IPython reads a line as the magic that it is meant to be."""
    name, _, rest = line.removeprefix("%").partition(" ")
    made = _calls(line)
    return made == ("run_line_magic", name, rest)


def _magic_of(cell: str) -> tuple[str, str] | None:
    """The line and the body that IPython gives to a cell magic."""
    made = _calls(cell)
    if made is not None and len(made) == 4:
        return (made[2], made[3].strip())
    return None


def _calls(source: str) -> tuple[str, ...] | None:
    """The method of the shell that IPython makes of a cell, and its arguments."""
    try:
        body = ast.parse(TransformerManager().transform_cell(source)).body
    except (SyntaxError, ValueError):
        return None

    if len(body) == 1 and isinstance(body[0], ast.Expr):
        call = body[0].value
    else:
        call = None

    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        return None

    values = [a.value for a in call.args if isinstance(a, ast.Constant)]
    return (call.func.attr, *map(str, values))
