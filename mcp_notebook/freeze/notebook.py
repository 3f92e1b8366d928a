"""Steps as a notebook: `%%mcp_sql` cells for SQL, Python for other tools, a check after
each table.
"""

import ast
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from IPython.core.inputtransformer2 import TransformerManager

from mcp_notebook.config.options import ConnectOptions
from mcp_notebook.errors import ConfigError
from mcp_notebook.freeze.literal import commented
from mcp_notebook.freeze.script import connect, server_object
from mcp_notebook.freeze.sealing import Secret
from mcp_notebook.freeze.steps import Plan, Step
from mcp_notebook.freeze.wording import (
    WORDS,
    answer,
    imports,
    own_tables,
    question,
    to_set,
)
from mcp_notebook.freeze.writing import (
    Style,
    checks,
    extras,
    is_own_query,
    python,
    reason,
    remarks,
    uses_object,
)
from mcp_notebook.naming import OWN_SERVER


@dataclass(frozen=True)
class Cell:
    """One cell."""

    kind: Literal["markdown", "code"]
    source: str


def cells(
    plan: Plan, style: Style, *, heading: str, answers: bool = False, timeout: float = 0
) -> list[Cell]:
    """All cells of a notebook that runs from its first to its last. `timeout`: as in `script`."""
    steps = list(_steps(plan, style, answers))
    setup = [
        *to_set(plan),
        *imports(c.source for c in steps if c.kind == "code"),
        "",
        "%load_ext mcp_notebook",
    ]
    setup += [f"%config MCPNotebook.tool_timeout = {timeout:g}"] if timeout else []
    setup += [_connect(plan, route) for route in plan.routes]
    used = {
        s.call.server
        for s in plan.steps
        if uses_object(s) and not s.why_not and not _magic(s, plan)
    }
    setup += [
        server_object(plan, r.name)
        for r in plan.routes
        if r.name in used and _has_line(r)
    ]
    own = [*own_tables(plan), f"%mcp_share {' '.join(plan.own)}"] if plan.own else []
    first = [Cell("markdown", heading), Cell("code", "\n".join(setup).rstrip())]
    return [*first, *([Cell("code", "\n".join(own))] if own else []), *steps]


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
    return (
        made
        if cell.kind == "markdown"
        else {**made, "execution_count": None, "outputs": []}
    )


def _steps(plan: Plan, style: Style, answers: bool) -> Iterator[Cell]:
    cell = ""
    for step in plan.steps:
        if step.call.cell != cell and step.call.cell in plan.runs:
            yield Cell("markdown", _asked(plan, step.call.cell, answers))
        cell = step.call.cell
        yield from _cells_of(plan, step, style)


def _asked(plan: Plan, cell: str, answers: bool) -> str:
    run = plan.runs[cell]
    said = "\n".join(["Asked:", "", *_verbatim(question(run))])
    if answers and answer(run):
        said += "\n".join(["", "", WORDS, "", *_verbatim(answer(run))])
    return said


def _verbatim(lines: list[str]) -> list[str]:
    """Words that are shown and not rendered: a model's markdown could load a picture
    from anywhere.
    """
    longest = max(
        (len(line) - len(line.lstrip("`")) for line in (x.lstrip() for x in lines)),
        default=0,
    )
    fence = "`" * max(3, longest + 1)
    return [f"{fence}text", *lines, fence]


def _cells_of(plan: Plan, step: Step, style: Style) -> Iterator[Cell]:
    moved = [_connect(plan, step.route)] if step.route is not None else []
    magic = _magic(step, plan)
    if step.why_not:
        yield Cell(
            "code",
            "\n".join(
                [
                    reason(step),
                    commented("\n".join([*moved, magic or python(step, plan)])),
                ]
            ),
        )
        return
    told = [*moved, *remarks(step)]
    if not magic:
        yield Cell(
            "code",
            "\n".join([*told, python(step, plan), *extras(step), *checks(step, style)]),
        )
        return
    if told:
        yield Cell("code", "\n".join(told))
    yield Cell("code", magic)
    after = [*extras(step), *checks(step, style)]
    if after:
        yield Cell("code", "\n".join(after))


def _magic(step: Step, plan: Plan) -> str:
    """The step as a magic that gives its table the right name, "" where Python has to do it."""
    call = step.call
    into = f" --into {step.names[0]}" if step.names else ""
    if len(step.names) > 1:
        return ""
    if call.kind == "resource":
        line = f"%mcp_read {call.server} {call.arguments['uri']}{into}"
        return line if into and len(line.split()) == 5 and _is_line(line) else ""
    own = is_own_query(step) and all(
        name == variable for name, variable in step.needs.items()
    )
    sql = "sql" if own else call.facts.sql
    if (
        not sql
        or set(call.arguments) != {sql}
        or (call.server == OWN_SERVER and not own)
    ):
        return ""
    text = call.arguments[sql]
    if not isinstance(text, str) or any(
        isinstance(p, Secret) for p in plan.sealer.pieces(text, call.server, sql=True)
    ):
        return ""
    tool = "" if own or call.facts.only else f" --tool {call.tool}"
    if tool and not re.fullmatch(r"[\w.-]+", call.tool):
        return ""
    cell = f"%%mcp_sql {call.server}{into}{tool}\n{text.strip()}"
    return (
        cell if _magic_of(cell) == (f"{call.server}{into}{tool}", text.strip()) else ""
    )


def _connect(plan: Plan, route: ConnectOptions) -> str:
    return route.to_line() if _has_line(route) else connect(plan, route)


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
    return (made[2], made[3].strip()) if made is not None and len(made) == 4 else None


def _calls(source: str) -> tuple[str, ...] | None:
    """The method of the shell that IPython makes of a cell, and its arguments."""
    try:
        body = ast.parse(TransformerManager().transform_cell(source)).body
    except (SyntaxError, ValueError):
        return None
    call = body[0].value if len(body) == 1 and isinstance(body[0], ast.Expr) else None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        return None
    values = [a.value for a in call.args if isinstance(a, ast.Constant)]
    return (call.func.attr, *map(str, values))
