"""One step as Python: the call, the names it gives its tables, and the checks."""

from collections.abc import Mapping
from dataclasses import dataclass

from mcp_notebook.freeze.literal import call as call_source
from mcp_notebook.freeze.literal import literal, name_is_free, quoted
from mcp_notebook.freeze.steps import Check, Plan, Step, argument
from mcp_notebook.naming import OWN_SERVER

QUERY = "query"  # the tool of the notebook's own server that takes SQL


@dataclass(frozen=True)
class Style:
    """How checks are written. `data`: the folder with the rows as they were, "" when
    there is none.
    """

    strict: bool = True
    data: str = ""


def python(step: Step, plan: Plan) -> str:
    """The call as a statement."""
    prefix = f"{', '.join(step.names)} = " if step.names else ""
    if step.call.kind == "resource":
        extra = ["tables=True"] if len(step.names) > 1 else []
        given = [
            quoted(step.call.server),
            argument(step.call, "uri", step.call.arguments["uri"], plan.sealer),
        ]
        return call_source("mcp_notebook.resource", [*given, *extra], prefix=prefix)
    if is_own_query(step):
        return call_source(
            "mcp_notebook.sql", _own_arguments(step, plan), prefix=prefix
        )
    if step.call.server == OWN_SERVER or len(step.names) > 1:
        target = quoted(f"{step.call.server}.{step.call.tool}")
        given = _dictionary(step, plan)
        extra = ["tables=True"] if len(step.names) > 1 else []
        return call_source("mcp_notebook.call", [target, *given, *extra], prefix=prefix)
    server = plan.servers[step.call.server]
    tool = step.call.tool
    attribute = name_is_free(tool) and not tool.startswith("_") and tool != "aio"
    target = f"{server}.{tool}" if attribute else f"{server}[{quoted(tool)}]"
    plain = all(name_is_free(name) for name in step.call.arguments)
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


def checks(step: Step, style: Style) -> list[str]:
    """A statement for each table."""
    return [_check(check, style) for check in step.checks]


def extras(step: Step) -> list[str]:
    """What follows a call: other names of its tables."""
    return [f"{alias} = {name}" for alias, name in step.aliases]


def remarks(step: Step) -> list[str]:
    """What a reader should know of the step, as comments."""
    return [f"# {note}" for note in step.notes]


def reason(step: Step) -> str:
    """Why a step is commented out."""
    return f"# Not run: {step.why_not}."


def _own_arguments(step: Step, plan: Plan) -> list[str]:
    given = dict(step.call.arguments)
    sql = argument(step.call, "sql", given.pop("sql", ""), plan.sealer, indent=4)
    return [sql, *(f"{k}={literal(v, plan.sealer, k, key=k)}" for k, v in given.items()),
            *(f"{name}={variable}" for name, variable in step.needs.items())]  # fmt: skip


def _keywords(step: Step, plan: Plan) -> list[str]:
    return [
        f"{k}={argument(step.call, k, v, plan.sealer, indent=4)}"
        for k, v in step.call.arguments.items()
    ]


def _dictionary(step: Step, plan: Plan) -> list[str]:
    given: Mapping[str, object] = step.call.arguments
    if not given:
        return []
    pairs = [
        f"{quoted(k)}: {argument(step.call, k, v, plan.sealer, indent=8)}"
        for k, v in given.items()
    ]
    line = "{" + ", ".join(pairs) + "}"
    if len(line) <= 80 and "\n" not in line:
        return [line]
    return ["{\n" + "".join(f"        {pair},\n" for pair in pairs) + "    }"]


def _check(check: Check, style: Style) -> str:
    columns = (
        "{"
        + ", ".join(f"{_plain(k)}: {_plain(v)}" for k, v in check.columns.items())
        + "}"
    )
    if len(columns) > 84:
        columns = (
            "{\n"
            + "".join(
                f"        {_plain(k)}: {_plain(v)},\n" for k, v in check.columns.items()
            )
            + "    }"
        )
    given = [
        check.name,
        f"rows={check.rows}",
        f"columns={columns}",
        f"fingerprint={_plain(check.fingerprint)}",
    ]
    if check.ignore:
        given.append(f"ignore=[{', '.join(map(_plain, check.ignore))}]")
    if style.data:
        given.append(f"against={_plain(f'{style.data}/{check.name}.parquet')}")
    if not style.strict:
        given.append("strict=False")
    return call_source("mcp_notebook.check", given)


def _plain(value: str) -> str:
    return quoted(value)
