"""One step as Python: the call, the names it gives its tables, and the checks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mcp_notebook.freeze.call_log import Run
from mcp_notebook.freeze.sealing import call as call_source
from mcp_notebook.freeze.sealing import literal, quote_text
from mcp_notebook.freeze.steps import Check, FreezePlan, Step, argument
from mcp_notebook.naming import OWN_SERVER, is_free_word
from mcp_notebook.secrets import seal_text

QUERY = "query"  # the tool of the notebook's own server that takes SQL


@dataclass(frozen=True)
class Style:
    """How checks are written. `data`: the folder with the rows as they were, "" when
    there is none.
    """

    strict: bool = True
    data: str = ""


def step_source(step: Step, plan: FreezePlan) -> str:
    """The call as a statement."""
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

    if is_own_query(step):
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


def is_own_query(step: Step) -> bool:
    """Whether a step is SQL over the notebook's own tables."""
    return (
        step.call.server == OWN_SERVER
        and step.call.tool == QUERY
        and step.call.kind == "tool"
    )


def uses_object(step: Step) -> bool:
    """Whether the Python of a step needs its server's object."""
    return (
        step.call.kind == "tool"
        and step.call.server != OWN_SERVER
        and len(step.names) <= 1
    )


def check_sources(step: Step, style: Style) -> list[str]:
    """A statement for each table."""
    return [_check(check, style) for check in step.checks]


def alias_lines(step: Step) -> list[str]:
    """What follows a call: other names of its tables."""
    return [f"{alias} = {name}" for alias, name in step.aliases]


def note_lines(step: Step) -> list[str]:
    """What a reader should know of the step, as comments."""
    return [f"# {note}" for note in step.notes]


def why_not_line(step: Step) -> str:
    """Why a step is commented out."""
    return f"# Not run: {step.why_not}."


def _own_arguments(step: Step, plan: FreezePlan) -> list[str]:
    given = dict(step.call.arguments)
    sql = argument(step.call, "sql", given.pop("sql", ""), plan.sealer, indent=4)
    return [sql, *(f"{k}={literal(v, plan.sealer, k, key=k)}" for k, v in given.items()),
            *(f"{name}={variable}" for name, variable in step.needs.items())]  # fmt: skip


def _keywords(step: Step, plan: FreezePlan) -> list[str]:
    return [
        f"{k}={argument(step.call, k, v, plan.sealer, indent=4)}"
        for k, v in step.call.arguments.items()
    ]


def _dictionary(step: Step, plan: FreezePlan) -> list[str]:
    given: Mapping[str, object] = step.call.arguments
    if not given:
        return []

    pairs = [
        f"{quote_text(k)}: {argument(step.call, k, v, plan.sealer, indent=8)}"
        for k, v in given.items()
    ]
    return [_brace_pairs(pairs, 80)]


def _brace_pairs(pairs: list[str], width: int) -> str:
    """A dict on one line where it fits, else a pair a line."""
    line = "{" + ", ".join(pairs) + "}"
    if len(line) <= width and "\n" not in line:
        return line
    return "{\n" + "".join(f"        {pair},\n" for pair in pairs) + "    }"


def _check(check: Check, style: Style) -> str:
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


WORDS = "The model's words, not code and not checked:"


def import_lines(sources: Iterable[str]) -> list[str]:
    """The imports that the sources need."""
    needs_os = any(re.search(r"\bos\.environ\[", source) for source in sources)
    return [*(["import os", ""] if needs_os else []), "import mcp_notebook"]


def environment_lines(plan: FreezePlan) -> list[str]:
    """The environment variables that hold nothing yet, as comments."""
    return [
        f"# Set {name} in the environment before this runs."
        for name in plan.sealer.missing
    ]


def own_table_lines(plan: FreezePlan) -> list[str]:
    """The tables that no call gave, as comments."""
    return [
        f"# {name} is a table of your own code: it has to be made before what reads it."
        for name in plan.own
    ]


def question_lines(run: Run) -> list[str]:
    """The lines of the question."""
    return seal_text(run.prompt.strip()).splitlines()


def answer_lines(run: Run) -> list[str]:
    """The lines of what the model said."""
    return seal_text(run.words.strip()).splitlines()
