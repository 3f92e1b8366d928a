"""Steps as code that runs without a model: a script, one cell of the notebook that is
open, or a notebook of its own. One writer of steps; the three are thin around it.

In a notebook a call is a magic where a magic says all of it (`%%mcp_sql` for SQL), else
Python; in a script, which runs with plain `python`, it always is Python.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from IPython.core.inputtransformer2 import TransformerManager

from mcp_notebook.charts.altair_code import altair_code
from mcp_notebook.config.options import ConnectOptions
from mcp_notebook.errors import ConfigError
from mcp_notebook.freeze.call_log import Run
from mcp_notebook.freeze.sealing import (
    Secret,
    comment_out,
    literal,
    quote_text,
)
from mcp_notebook.freeze.sealing import call as call_source
from mcp_notebook.freeze.steps import Check, FreezePlan, Step, argument
from mcp_notebook.naming import OWN_SERVER, is_free_word
from mcp_notebook.secrets import seal_text

if TYPE_CHECKING:
    from mcp_notebook.charts.compute import Chart

QUERY = "query"  # the tool of the notebook's own server that takes SQL
WORDS = "The model's words, not code and not checked:"
CHOSEN = "You were asked on the way:"


@dataclass(frozen=True)
class Style:
    """How checks are written. `data`: the folder with the rows as they were, "" when
    there is none.
    """

    strict: bool = True
    data: str = ""


@dataclass(frozen=True)
class Cell:
    """One cell."""

    kind: Literal["markdown", "code"]
    source: str


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
    lines += [*_environment_lines(plan), "", *_import_lines(blocks), ""]
    lines += [f"mcp_notebook.settings.tool_timeout = {timeout:g}"] if timeout else []
    lines += [_connect_call(plan, route) for route in plan.routes]
    return _join_blocks([*lines, *_own_table_lines(plan)], blocks) + "\n"


def cell(
    plan: FreezePlan, style: Style, *, connected: Collection[str], answers: bool = False
) -> str:
    """The same as one cell of the notebook that is open; servers in `connected` are,
    and need no line.
    """
    blocks = list(_blocks(plan, style, answers))
    lines = [*_environment_lines(plan), *_import_lines(blocks), ""]
    used = {
        step.call.server
        for step in plan.steps
        if _uses_object(step) and not step.why_not
    }
    for route in plan.routes:
        if route.name not in connected:
            lines.append(_connect_call(plan, route))
        elif route.name in used:
            lines.append(_server_object(plan, route.name))

    return _join_blocks([*lines, *_own_table_lines(plan)], blocks)


def cells(
    plan: FreezePlan,
    style: Style,
    *,
    heading: str,
    answers: bool = False,
    timeout: float = 0,
) -> list[Cell]:
    """All cells of a notebook that runs from its first to its last. `timeout`: as in `script`."""
    steps = list(_step_cells(plan, style, answers))
    setup = [
        *_environment_lines(plan),
        *_import_lines(one.source for one in steps if one.kind == "code"),
        "",
        "%load_ext mcp_notebook",
    ]
    setup += [f"%config MCPNotebook.tool_timeout = {timeout:g}"] if timeout else []
    setup += [_connect_line(plan, route) for route in plan.routes]
    used = {step.call.server for step in plan.steps if _needs_object(step, plan)}
    for route in plan.routes:
        if route.name in used and _has_line(route):
            setup.append(_server_object(plan, route.name))

    made = [Cell("markdown", heading), Cell("code", "\n".join(setup).rstrip())]
    if plan.own:
        own = [*_own_table_lines(plan), f"%mcp_share {' '.join(plan.own)}"]
        made.append(Cell("code", "\n".join(own)))

    return [*made, *steps]


def _join_blocks(lines: list[str], blocks: list[str]) -> str:
    return "\n".join(lines).rstrip() + "\n\n" + "\n\n".join(blocks)


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


# ---- the steps in order


@dataclass(frozen=True)
class _Written:
    """A step in the lines before its call, the call, and the lines after it."""

    before: tuple[str, ...]
    call: str
    after: tuple[str, ...] = ()
    is_magic: bool = False

    @property
    def source(self) -> str:
        return "\n".join((*self.before, self.call, *self.after))


def _write_step(
    step: Step, plan: FreezePlan, style: Style, *, magics: bool
) -> _Written:
    connect = _connect_line if magics else _connect_call
    moved = [connect(plan, step.route)] if step.route is not None else []
    magic = _magic(step, plan) if magics else ""
    call = magic or _step_source(step, plan)
    if step.why_not:
        why = f"# Not run: {step.why_not}."
        return _Written((why,), comment_out("\n".join([*moved, call])))

    notes = (f"# {note}" for note in step.notes)
    aliases = (f"{alias} = {name}" for alias, name in step.aliases)
    checks = (_check_source(check, style) for check in step.checks)
    return _Written((*moved, *notes), call, (*aliases, *checks), bool(magic))


def _walk(plan: FreezePlan) -> Iterator[tuple[Run | None, Step]]:
    """The steps in order, each with the question that stands before it."""
    cell = ""
    for step in plan.steps:
        is_next = step.call.cell != cell
        cell = step.call.cell
        yield plan.runs.get(cell) if is_next else None, step


def _blocks(plan: FreezePlan, style: Style, answers: bool) -> Iterator[str]:
    """A step of Python a block, its question as comments."""
    for run, step in _walk(plan):
        asked = _question_comments(run, answers) if run is not None else ()
        written = _write_step(step, plan, style, magics=False)
        yield "\n".join([*asked, written.source])


def _step_cells(plan: FreezePlan, style: Style, answers: bool) -> Iterator[Cell]:
    for run, step in _walk(plan):
        if run is not None:
            yield Cell("markdown", _question_markdown(run, answers))

        written = _write_step(step, plan, style, magics=True)
        if not written.is_magic:
            yield Cell("code", written.source)
            continue

        # A cell magic takes its whole cell: what stands around it goes into others.
        for source in (
            "\n".join(written.before),
            written.call,
            "\n".join(written.after),
        ):
            if source:
                yield Cell("code", source)


# ---- the question and the model's words


def _question_lines(run: Run) -> list[str]:
    return seal_text(run.prompt.strip()).splitlines()


def _answer_lines(run: Run) -> list[str]:
    return seal_text(run.words.strip()).splitlines()


def _choice_lines(run: Run) -> list[str]:
    """What the person was asked to choose on the way, and what they said: the calls
    after it rest on that.
    """
    said = [f"{question} {answer}" for question, answer in run.choices]
    return [" ".join(seal_text(line).split()) for line in said]


def _question_comments(run: Run, answers: bool) -> Iterator[str]:
    first, *others = _question_lines(run) or [""]
    yield f"# Asked: {first}".rstrip()
    yield from (f"# {line}".rstrip() for line in others)
    yield from (f"# {CHOSEN} {line}" for line in _choice_lines(run))
    if answers and _answer_lines(run):
        yield "#"
        yield f"# {WORDS}"
        yield from (f"# | {line}".rstrip() for line in _answer_lines(run))


def _question_markdown(run: Run, answers: bool) -> str:
    said = ["Asked:", "", *_fence_lines(_question_lines(run))]
    if run.choices:
        said += ["", CHOSEN, "", *_fence_lines(_choice_lines(run))]

    if answers and _answer_lines(run):
        said += ["", WORDS, "", *_fence_lines(_answer_lines(run))]

    return "\n".join(said)


def _fence_lines(lines: list[str]) -> list[str]:
    """Words that are shown and not rendered: a model's markdown could load a picture
    from anywhere.
    """
    begins = [re.match(r"\s*(`*)", line) for line in lines]
    longest = max((len(found[1]) for found in begins if found), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}text", *lines, fence]


# ---- what stands before the steps


def _import_lines(sources: Iterable[str]) -> list[str]:
    """The imports that the sources need."""
    needs_os = any(re.search(r"\bos\.environ\[", source) for source in sources)
    return [*(["import os", ""] if needs_os else []), "import mcp_notebook"]


def _environment_lines(plan: FreezePlan) -> list[str]:
    """The environment variables that hold nothing yet, as comments."""
    return [
        f"# Set {name} in the environment before this runs."
        for name in plan.sealer.missing
    ]


def _own_table_lines(plan: FreezePlan) -> list[str]:
    """The tables that no call gave, as comments."""
    return [
        f"# {name} is a table of your own code: it has to be made before what reads it."
        for name in plan.own
    ]


def _connect_call(plan: FreezePlan, route: ConnectOptions) -> str:
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

    return call_source("mcp_notebook.connect", [*words, *given], prefix=prefix)


def _server_object(plan: FreezePlan, name: str) -> str:
    """The statement that gives a connected server its variable."""
    return f"{plan.servers[name]} = mcp_notebook.server({quote_text(name)})"


# ---- a call as Python


def _step_source(step: Step, plan: FreezePlan) -> str:
    """The call as a statement."""
    if step.call.chart is not None:
        return _chart_source(step.call.chart, step)

    if step.names:
        prefix = f"{', '.join(step.names)} = "
    else:
        prefix = ""

    several = len(step.names) > 1
    if several:
        extra = ["tables=True"]
    else:
        extra = []

    if step.call.kind == "resource":
        given = [
            quote_text(step.call.server),
            argument(step.call, "uri", step.call.arguments["uri"], plan.sealer),
        ]
        return call_source("mcp_notebook.resource", [*given, *extra], prefix=prefix)

    if _is_own_query(step):
        return call_source(
            "mcp_notebook.sql", _own_arguments(step, plan), prefix=prefix
        )

    if step.call.server == OWN_SERVER or several:
        target = quote_text(f"{step.call.server}.{step.call.tool}")
        given = _dictionary(step, plan)
        return call_source("mcp_notebook.call", [target, *given, *extra], prefix=prefix)

    server = plan.servers[step.call.server]
    tool = step.call.tool
    attribute = is_free_word(tool) and not tool.startswith("_") and tool != "aio"
    if attribute:
        target = f"{server}.{tool}"
    else:
        target = f"{server}[{quote_text(tool)}]"

    plain = all(is_free_word(name) for name in step.call.arguments)
    return call_source(
        target,
        _keywords(step, plan) if plain else _dictionary(step, plan),
        prefix=prefix,
    )


def _chart_source(chart: Chart, step: Step) -> str:
    """A chart as Altair code over its table; Altair comes with the extra `charts`."""
    variable = step.needs.get(chart.table, chart.table)
    code = altair_code(chart, variable, f"{variable}_chart")
    return code.replace("import mcp_notebook\n", "", 1)


def _is_own_query(step: Step) -> bool:
    """Whether a step is SQL over the notebook's own tables."""
    return (
        step.call.server == OWN_SERVER
        and step.call.tool == QUERY
        and step.call.kind == "tool"
    )


def _uses_object(step: Step) -> bool:
    """Whether the Python of a step needs its server's object."""
    return (
        step.call.kind == "tool"
        and step.call.server != OWN_SERVER
        and len(step.names) <= 1
    )


def _own_arguments(step: Step, plan: FreezePlan) -> list[str]:
    given = dict(step.call.arguments)
    sql = argument(step.call, "sql", given.pop("sql", ""), plan.sealer, indent=4)
    others = [f"{k}={literal(v, plan.sealer, k, key=k)}" for k, v in given.items()]
    tables = [f"{name}={variable}" for name, variable in step.needs.items()]
    return [sql, *others, *tables]


def _keywords(step: Step, plan: FreezePlan) -> list[str]:
    return [
        f"{k}={_argument(step, k, v, plan, indent=4)}"
        for k, v in step.call.arguments.items()
    ]


def _dictionary(step: Step, plan: FreezePlan) -> list[str]:
    given: Mapping[str, object] = step.call.arguments
    if not given:
        return []

    pairs = [
        f"{quote_text(k)}: {_argument(step, k, v, plan, indent=8)}"
        for k, v in given.items()
    ]
    return [_brace_pairs(pairs, 80)]


def _argument(
    step: Step, name: str, value: Any, plan: FreezePlan, *, indent: int
) -> str:
    """A table goes by the variable that it has in the frozen code."""
    table = getattr(value, "code", "")
    if table:
        return step.needs.get(table, table)

    return argument(step.call, name, value, plan.sealer, indent=indent)


def _brace_pairs(pairs: list[str], width: int) -> str:
    """A dict on one line where it fits, else a pair a line."""
    line = "{" + ", ".join(pairs) + "}"
    if len(line) <= width and "\n" not in line:
        return line
    return "{\n" + "".join(f"        {pair},\n" for pair in pairs) + "    }"


def _check_source(check: Check, style: Style) -> str:
    pairs = [
        f"{quote_text(name)}: {quote_text(word)}"
        for name, word in check.columns.items()
    ]
    columns = _brace_pairs(pairs, 84)
    given = [
        check.name,
        f"rows={check.rows}",
        f"columns={columns}",
        f"fingerprint={quote_text(check.fingerprint)}",
    ]
    if check.ignore:
        given.append(f"ignore=[{', '.join(map(quote_text, check.ignore))}]")

    if style.data:
        given.append(f"against={quote_text(f'{style.data}/{check.name}.parquet')}")

    if not style.strict:
        given.append("strict=False")

    return call_source("mcp_notebook.check", given)


# ---- a call as a magic


def _needs_object(step: Step, plan: FreezePlan) -> bool:
    return _uses_object(step) and not step.why_not and not _magic(step, plan)


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
    return _is_own_query(step) and all(name == variable for name, variable in needs)


def _connect_line(plan: FreezePlan, route: ConnectOptions) -> str:
    if _has_line(route):
        return route.to_line()
    return _connect_call(plan, route)


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
