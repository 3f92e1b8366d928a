"""Steps as a Python script: it runs with plain `python`, and in one cell of a notebook."""

from collections.abc import Collection, Iterator

from mcp_notebook.config.options import ConnectOptions
from mcp_notebook.freeze.literal import call, comment_out, literal, quote_text
from mcp_notebook.freeze.steps import FreezePlan, Step
from mcp_notebook.freeze.write_step import (
    WORDS,
    Style,
    alias_lines,
    answer_lines,
    check_sources,
    environment_lines,
    import_lines,
    note_lines,
    own_table_lines,
    question_lines,
    step_source,
    uses_object,
    why_not_line,
)


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
