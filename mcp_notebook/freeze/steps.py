"""The chosen calls as steps that can be written down: names, needs, checks, and how
each server is connected.
"""

from __future__ import annotations

import fnmatch
import keyword
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mcp_notebook.config.options import ConnectOptions
from mcp_notebook.freeze.call_log import Call, Kept, Run, Trail
from mcp_notebook.freeze.sealing import Sealer, literal, seal_options, text
from mcp_notebook.freeze.select_calls import CallChoice, Chosen, Surroundings, names_in
from mcp_notebook.naming import OWN_SERVER, free
from mcp_notebook.secrets import is_secret_name, seal_arguments


@dataclass(frozen=True)
class Check:
    """What one table is held against."""

    name: str
    rows: int
    columns: Mapping[str, str]
    fingerprint: str
    ignore: tuple[str, ...] = ()
    # the rows, without the columns that are ignored
    frame: Any = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, eq=False)
class Step:
    """One call. `names`: a variable a table; `needs`: SQL's name of a table -> its variable."""

    call: Call
    names: tuple[str, ...] = ()
    needs: Mapping[str, str] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()  # (name, variable)
    why_not: str = ""
    notes: tuple[str, ...] = ()
    route: ConnectOptions | None = None  # the server is connected anew before this step


@dataclass(frozen=True, eq=False)
class FreezePlan:
    """Everything to write down. `servers`: the variable of each server's object; `own`:
    tables of the person's code.
    """

    steps: tuple[Step, ...]
    routes: tuple[ConnectOptions, ...]
    servers: Mapping[str, str]
    runs: Mapping[str, Run]
    own: tuple[str, ...]
    sealer: Sealer
    left_out: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """The tables that it makes, in order."""
        return list(
            dict.fromkeys(
                name for step in self.steps if not step.why_not for name in step.names
            )
        )


def plan(
    chosen: Chosen,
    trail: Trail,
    around: Surroundings,
    sealer: Sealer,
    *,
    checks: bool,
    mask: Sequence[str],
    reserved: Collection[str] = (),
) -> FreezePlan:
    """Lay out what was chosen.

    `mask`: patterns of columns of which no trace may stand in a check; `reserved`:
    names that no server's object takes.
    """
    variables = _variables(chosen.choices, around)
    moved = _calls_reconnected(chosen.choices)
    steps = []
    for choice in chosen.choices:
        if choice in moved:
            route = seal_options(moved[choice], sealer)
        else:
            route = None

        steps.append(
            _step(choice, around, variables, checks=checks, mask=mask, route=route)
        )

    taken = set(reserved) | {name for step in steps for name in _names_in(step)}
    return FreezePlan(
        tuple(steps),
        tuple(seal_options(route, sealer) for route in _first(chosen.choices)),
        _server_names((c.call.server for c in chosen.choices), taken),
        trail.runs,
        tuple(dict.fromkeys(name for choice in chosen.choices for name in choice.own)),
        sealer,
        chosen.left_out,
    )


def _first(choices: Iterable[CallChoice]) -> list[ConnectOptions]:
    """How each server was connected for its first call, in the order of these."""
    routes: dict[str, ConnectOptions] = {}
    for choice in choices:
        if choice.call.route is not None:
            routes.setdefault(choice.call.server, choice.call.route)
    return list(routes.values())


def _calls_reconnected(
    choices: Iterable[CallChoice],
) -> dict[CallChoice, ConnectOptions]:
    """The calls before which their server was connected otherwise than for the last one."""
    now: dict[str, ConnectOptions] = {}
    found = {}
    for choice in choices:
        server, route = choice.call.server, choice.call.route
        if route is None:
            continue

        if now.get(server, route) != route:
            found[choice] = route

        now[server] = route

    return found


def _names_in(step: Step) -> Iterator[str]:
    yield from step.names
    yield from step.needs.values()
    yield from (alias for alias, _ in step.aliases)


def _variables(choices: Iterable[CallChoice], around: Surroundings) -> dict[Kept, str]:
    """What each table is called; of a call that was made again, the later table's name
    counts for both.
    """
    names: dict[Kept, str] = {}
    for choice in choices:
        for kepts in zip(
            *(call.kept() for call in (choice.call, *choice.again)), strict=True
        ):
            living = [kept for kept in kepts if kept.frame() is not None]
            name = (living or list(kepts))[-1].name_now(around.namespace)
            names |= dict.fromkeys(kepts, name)

    return names


def problem_with(call: Call, environ: Mapping[str, str]) -> str:
    """Why a call cannot be written down: a secret stood in it that no environment
    variable holds.
    """
    if call.chart is not None and seal_arguments(call.arguments) != call.arguments:
        return "a secret stood in the chart, which is written nowhere"

    probe = Sealer(environ)
    for name, value in call.arguments.items():
        argument(call, name, value, probe)

    if not probe.missing:
        return ""

    missing = ", ".join(probe.missing)
    return (
        "a secret stood in it that no environment variable holds: "
        f"set {missing}, then uncomment it"
    )


def argument(
    call: Call, name: str, value: Any, sealer: Sealer, *, indent: int = 0
) -> str:
    """The source of an argument's value."""
    place = f"{call.server}_{name}"
    if isinstance(value, str) and name == call.facts.sql:
        return text(value, sealer, place, sql=True, indent=indent)
    return literal(value, sealer, place, key=name, indent=indent)


def is_hidden(column: str, mask: Iterable[str]) -> bool:
    """Whether nothing of a column's values may be written down."""
    return is_secret_name(column) or any(
        fnmatch.fnmatchcase(column.lower(), pattern.lower()) for pattern in mask
    )


def _step(
    choice: CallChoice,
    around: Surroundings,
    variables: Mapping[Kept, str],
    *,
    checks: bool,
    mask: Sequence[str],
    route: ConnectOptions | None,
) -> Step:
    tables = choice.call.kept()
    names = tuple(variables[kept] for kept in tables)
    needs = {
        name: variables.get(kept) or kept.name_now(around.namespace)
        for name, kept in choice.needs.items()
    }
    needs |= {name: name for name in choice.own}
    notes = tuple(
        f"The server cut the result: {kept.truncated}"
        for kept in tables
        if kept.truncated
    )
    made: tuple[Check, ...] = ()
    if checks and not choice.why_not:
        made = tuple(
            c
            for at, name in enumerate(names)
            if (c := _check(choice, at, name, mask)) is not None
        )
        if len(made) < len(names):
            notes += (
                "Not checked: the notebook no longer held the table when this was frozen.",
            )

    aliases = tuple(_aliases(choice, names, around))
    return Step(choice.call, names, needs, made, aliases, choice.why_not, notes, route)


def _aliases(
    choice: CallChoice, names: Sequence[str], around: Surroundings
) -> Iterator[tuple[str, str]]:
    """Other names of the tables that the person's code uses."""
    used = {
        name
        for source in around.code[choice.call.at + 1 :]
        for name in names_in(source)
    }
    for call in (choice.call, *choice.again):
        for kept, name in zip(call.kept(), names, strict=True):
            others = (kept.names() | {kept.name_now(around.namespace)}) - {name}
            for other in sorted(others & used):
                if around.namespace.get(other) is kept.frame() is not None:
                    yield other, name


def _check(choice: CallChoice, at: int, name: str, mask: Sequence[str]) -> Check | None:
    # pandas is loaded by then: there are tables.
    from mcp_notebook.freeze.compare import column_types
    from mcp_notebook.freeze.fingerprint import fingerprint

    calls = (*reversed(choice.again), choice.call)
    rows = next(
        (
            kept[at].rows
            for c in calls
            if len(kept := c.kept()) > at and kept[at].rows is not None
        ),
        None,
    )
    if rows is None:
        return None

    types = column_types(rows)
    hidden = tuple(column for column in types if is_hidden(column, mask))
    shown = [index for index, column in enumerate(types) if column not in hidden]
    return Check(
        name,
        len(rows),
        types,
        str(fingerprint(rows, hidden)),
        hidden,
        rows.iloc[:, shown],
    )


def _server_names(servers: Iterable[str], taken: Collection[str]) -> dict[str, str]:
    """A variable for each server that no table has."""
    names: dict[str, str] = {}
    for server in dict.fromkeys(servers):
        if server == OWN_SERVER:
            continue

        plain = "".join(c if c.isalnum() else "_" for c in server)
        if plain.isidentifier():
            plain = plain
        else:
            plain = f"server_{plain}"

        imported = plain in ("os", "mcp_notebook")
        if imported or plain in taken or keyword.iskeyword(plain):
            plain = f"{plain}_server"

        names[server] = free(plain, {*taken, *names.values()})

    return names
