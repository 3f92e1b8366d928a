"""Which calls make the tables that are wanted, and why the others stay out."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

from IPython.core.inputtransformer2 import TransformerManager

from mcp_notebook.errors import DataError
from mcp_notebook.freeze.call_log import Call, Kept, Trail
from mcp_notebook.naming import OWN_SERVER
from mcp_notebook.sql_effects import only_reads
from mcp_notebook.sql_words import looks_around, names_among, sql_of

# Tools that ask what there is. `list_issues` gives data, `list_tables` does not.
_EXPLORING = re.compile(
    r"(?:^|[_.-])(?:list|show|get|describe|read|search|find|inspect|sample)_?(?:all_?|the_?)?"
    r"(?:table|schema|database|column|catalog|view|index|indice|collection|keyspace|dataset"
    r"|relation|metadata"
    r"|object|procedure|function|tool|resource)(?:s|es|_?names?|_?info|_?schemas?|_?details"
    r"|_?stats)?$"
    r"|^(?:describe|explain|schema|ping|health|version|help|list_?allowed\w*|current_\w+"
    r"|whoami)\b|_schemas?$|^explain_",
    re.IGNORECASE,
)
Tables = Callable[[str, Collection[str]], set[str]]


@dataclass(frozen=True)
class Wish:
    """What is to be frozen. `names`: tables; else the cells, where None is every call
    there was, by hand too.
    """

    names: tuple[str, ...] = ()
    cells: tuple[str, ...] | None = None
    everything: bool = False
    include_writes: bool = False
    # calls by hand that are needed come along: in the same notebook their cells stand
    # already
    by_hand: bool = True


@dataclass(frozen=True, eq=False)
class CallChoice:
    """A call that is frozen. `why_not`: it stands there commented out, and why."""

    call: Call
    # SQL's name -> the table of an earlier call
    needs: Mapping[str, Kept] = field(default_factory=dict)
    own: tuple[str, ...] = ()  # tables that the person's own code made
    why_not: str = ""
    again: tuple[Call, ...] = ()  # the same call, made later while nothing had changed


@dataclass(frozen=True, eq=False)
class Chosen:
    """The calls to freeze in the order of the run, and a line for each kind of call left out."""

    choices: tuple[CallChoice, ...]
    left_out: tuple[str, ...] = ()


@dataclass(eq=False)
class Surroundings:
    """The notebook as it is: its variables, the code that was run (by number of the
    cell), how SQL names tables.

    `problem`: why a call cannot be written down as it was, "" when it can.
    """

    namespace: Mapping[str, Any]
    code: Sequence[str] = ()
    tables: Tables = names_among
    problem: Callable[[Call], str] = lambda call: ""


def choose(trail: Trail, wish: Wish, around: Surroundings) -> Chosen:
    """The calls for a wish; raises DataError in one sentence when there is nothing to freeze."""
    calls = [call for call in trail if call.outcome]
    links = _Links(calls, around)
    in_reach = [c for c in calls if wish.cells is None or c.cell in wish.cells]
    if wish.names:
        wanted = [_maker(trail, name, around.namespace) for name in wish.names]
    else:
        wanted = _find_wanted(in_reach, wish, links, around)
        if not wanted:
            raise DataError(_nothing_text(trail, wish, in_reach))

    needed = links.closure(wanted)
    if not wish.by_hand:
        needed = {call for call in needed if call.cell or call in wanted}

    needed |= _writes(calls, needed, wish, in_reach)
    kept = [call for call in calls if call in needed]
    if wish.everything:
        kept = kept
    else:
        kept = _once(kept, links)

    return Chosen(
        tuple(_choices(kept, links, wish, around)),
        tuple(_left_out(in_reach, kept, wish)),
    )


class _Links:
    """Which call's tables each call took: in a statement over the notebook's own
    tables, or as arguments.
    """

    def __init__(self, calls: Sequence[Call], around: Surroundings) -> None:
        self.needs: dict[Call, dict[str, tuple[Call, Kept]]] = {}
        self.own: dict[Call, tuple[str, ...]] = {}
        self.twin: dict[Call, Call] = {}  # a call that was made again -> the first one
        made: dict[str, tuple[Call, Kept]] = {}
        makers = {kept: call for call in calls for kept in call.kept()}
        for call in calls:
            if call.server == OWN_SERVER and call.kind == "tool":
                self._read(call, made, around)
            else:
                # tables that were arguments
                self.needs[call], self.own[call] = {}, tuple(sorted(call.sources))

            self._resolve(call, makers)

            for kept in call.kept():
                made |= dict.fromkeys(kept.names(), (call, kept))

    def _read(
        self, call: Call, made: Mapping[str, tuple[Call, Kept]], around: Surroundings
    ) -> None:
        tables = {
            n
            for n, v in around.namespace.items()
            if not n.startswith("_") and hasattr(type(v), "columns")
        }
        known = {*made, *tables, *call.sources}
        named = tables_named(call, known, around.tables)
        self.needs[call] = {name: made[name] for name in sorted(named) if name in made}
        self.own[call] = tuple(sorted(name for name in named if name not in made))

    def _resolve(self, call: Call, makers: Mapping[Kept, Call]) -> None:
        """What a name meant when the statement was sent counts: the person's code may
        have changed its meaning.
        """
        for name in {*self.needs[call], *self.own[call]} & set(call.sources):
            kept = call.sources[name]
            self.needs[call].pop(name, None)
            self.own[call] = tuple(other for other in self.own[call] if other != name)
            if kept is not None and kept in makers:
                self.needs[call][name] = (makers[kept], kept)
            else:
                self.own[call] = tuple(sorted([*self.own[call], name]))

    def closure(self, wanted: Iterable[Call]) -> set[Call]:
        """The calls and all whose tables they read, directly or not."""
        found: set[Call] = set()
        waiting = list(wanted)
        while waiting:
            call = waiting.pop()
            if call not in found:
                found.add(call)
                waiting += [maker for maker, _ in self.needs.get(call, {}).values()]

        return found

    def read_later(self, call: Call, among: Iterable[Call]) -> bool:
        """Whether one of the calls reads a table of this one."""
        return any(
            maker is call
            for other in among
            for maker, _ in self.needs.get(other, {}).values()
        )


def tables_named(call: Call, known: Collection[str], tables: Tables) -> set[str]:
    """Which of the notebook's tables a call to its own server reads."""
    if call.chart is not None:
        return {call.chart.table} & set(known)

    sql = sql_of(call.arguments) or str(call.arguments.get("sql", ""))
    return tables(sql, known)


def reads(call: Call) -> bool:
    """Whether a call surely changed nothing: by what is known of the tool, else by its SQL."""
    if call.kind == "resource" or call.server == OWN_SERVER or call.facts.reads:
        return True

    if call.facts.sql:
        sql = call.arguments.get(call.facts.sql)
    else:
        sql = None

    if not isinstance(sql, str):
        return False

    if call.route:
        words = call.route.words
    else:
        words = ()

    return only_reads(sql, " ".join((call.server, call.tool, *words)))


def explores(call: Call) -> bool:
    """Whether a call asked what there is rather than for data."""
    if call.kind == "tool" and _EXPLORING.search(call.tool):
        return True
    sql = sql_of(call.arguments)
    return bool(sql) and looks_around(sql)


def _find_wanted(
    calls: Sequence[Call], wish: Wish, links: _Links, around: Surroundings
) -> list[Call]:
    if wish.everything:
        return list(calls)

    good = [c for c in calls if c.outcome == "ok" and c.tables and reads(c)]
    found: set[Call] = set()
    # what a model drew was wanted, and asks for the tables that it reads
    found |= {c for c in calls if c.cell and c.outcome == "ok" and c.chart is not None}
    for cell in dict.fromkeys(c.cell for c in calls):
        in_cell = [c for c in good if c.cell == cell]
        in_use = [c for c in in_cell if _is_in_use(c, around)]
        # By hand a table is wanted when it was named; of a model's cell without a name
        # all are results.
        if not in_use and cell:
            data = [c for c in in_cell if not explores(c)]
            in_use = [c for c in data if not links.read_later(c, good)]

        found |= set(in_use)

    return [c for c in calls if c in found]


def _is_in_use(call: Call, around: Surroundings) -> bool:
    """Whether the person named a table of it or uses one, and it is still there."""
    is_named = any(kept.into for kept in call.kept())
    if not is_named and not _is_used(call, around.code):
        return False
    return not _is_replaced(call, around.namespace)


def _is_replaced(call: Call, namespace: Mapping[str, Any]) -> bool:
    """Whether the notebook holds none of its tables any more, and other calls gave what
    their names mean now.
    """
    for kept in call.kept():
        source = _source(namespace.get(kept.name_now(namespace)))
        if kept.frame() is not None or source in ("", call.id):
            return False

    return True


def _source(value: Any) -> str:
    """The id of the call that a table came from, also after the person's code went over it."""
    if not hasattr(type(value), "columns"):
        return ""

    told = getattr(value, "attrs", {}).get("mcp")
    if isinstance(told, dict):
        return str(told.get("call_id", ""))

    return ""


def _is_used(call: Call, code: Sequence[str]) -> bool:
    names = {name for kept in call.kept() for name in kept.names()}
    return any(names & names_in(source) for source in code[call.at + 1 :])


def _maker(trail: Trail, name: str, namespace: Mapping[str, Any]) -> Call:
    value = namespace.get(name)
    if value is not None:
        call = trail.of_frame(value)
    else:
        call = None

    if call is not None:
        return call

    tables = [kept for call in trail for kept in call.kept()]
    made = sorted(
        {kept.name_now(namespace) for kept in tables if kept.frame() is not None}
    )
    known = "no call has given a table yet"
    if made:
        known = f"tables of calls: {', '.join(made)}"

    if value is None:
        raise DataError(f"There is no table {name!r} in this notebook; {known}.")

    origin = _source(value)
    source = next(
        (k.name_now(namespace) for c in trail if c.id == origin for k in c.kept()), ""
    )
    if source:
        raise DataError(
            f"{name!r} was made from {source!r} by your own code, which is a plain "
            f"cell already: %mcp_freeze {source}."
        )

    raise DataError(
        f"{name!r} was not given by a tool call, so there is nothing to freeze; {known}."
    )


def _writes(
    calls: Sequence[Call],
    needed: Collection[Call],
    wish: Wish,
    in_reach: Sequence[Call],
) -> set[Call]:
    """Calls that may have changed something on which a needed one rests: of the same
    server, and before it.
    """
    last = {call.server: at for at, call in enumerate(calls) if call in needed}
    before = [c for at, c in enumerate(calls) if at < last.get(c.server, -1)]
    if wish.names:
        among = before
    else:
        among = [*before, *in_reach]

    return {call for call in among if call.outcome == "ok" and not reads(call)}


def _once(kept: Sequence[Call], links: _Links) -> list[Call]:
    """Without calls that were made again while nothing changed; the first one stands for both."""
    first: dict[str, Call] = {}
    result = []
    for call in kept:
        if not reads(call):
            first = {k: c for k, c in first.items() if c.server != call.server}

        twin = first.get(call.key)
        if twin is not None and _gives_the_same(call, twin, links):
            links.twin[call] = twin
            continue

        first[call.key] = call
        result.append(call)

    return result


def _gives_the_same(call: Call, twin: Call, links: _Links) -> bool:
    # the person's own tables may have changed
    if not reads(call) or links.own.get(call) or len(twin.tables) != len(call.tables):
        return False
    before = links.needs.get(twin, {})
    needs = links.needs.get(call, {})
    return all(before.get(name) == table for name, table in needs.items())


def _choices(
    kept: Sequence[Call], links: _Links, wish: Wish, around: Surroundings
) -> Iterable[CallChoice]:
    dead: dict[Call, str] = {}
    for call in kept:
        needs = {name: table for name, (_, table) in links.needs.get(call, {}).items()}
        makers = [
            links.twin.get(maker, maker)
            for maker, _ in links.needs.get(call, {}).values()
        ]
        why = _why_not(call, wish) or around.problem(call)
        if not why and (gone := [m for m in makers if m in dead]):
            maker = f"{gone[0].server}.{gone[0].tool}"
            why = f"it needs a table of {maker}, which is commented out above"

        if why:
            dead[call] = why

        again = tuple(other for other, first in links.twin.items() if first is call)
        yield CallChoice(call, needs, links.own.get(call, ()), why, again)


def _why_not(call: Call, wish: Wish) -> str:
    if call.outcome != "ok":
        if call.outcome == "error":
            return "it failed"
        return f"it was {call.outcome}"

    if not wish.include_writes and not reads(call):
        return "it may write: the tool does not say that it only reads (--include-writes runs it)"

    return ""


Reason = Literal[
    "failed", "only looked around", "gave no table", "not used", "made again"
]


def _left_out(
    in_reach: Sequence[Call], kept: Collection[Call], wish: Wish
) -> Iterable[str]:
    if wish.names:
        return

    reasons: dict[str, list[str]] = {}
    for call in in_reach:
        if call not in kept:
            reasons.setdefault(_reason(call, kept), []).append(_call_words(call))

    for reason, calls in reasons.items():
        if len(calls) == 1:
            counted = "1 call"
        else:
            counted = f"{len(calls)} calls"

        yield f"{counted} ({reason}): {', '.join(dict.fromkeys(calls))}"


def _reason(call: Call, kept: Iterable[Call]) -> Reason:
    if call.outcome != "ok":
        return "failed"
    if any(other.key == call.key for other in kept):
        return "made again"
    if explores(call):
        return "only looked around"
    if call.tables:
        return "not used"

    return "gave no table"


def _call_words(call: Call) -> str:
    names = ", ".join(kept.name for kept in call.kept())
    return f"{call.server}.{call.tool}" + (f" → {names}" if names else "")


def _nothing_text(trail: Trail, wish: Wish, in_reach: Sequence[Call]) -> str:
    if not trail.calls:
        return (
            "Nothing to freeze yet: no tool has been called; ask with %%claude, or "
            "query with %%mcp_sql."
        )
    if wish.cells is not None and not in_reach:
        return (
            "Nothing to freeze yet: the last %%claude cell called no tool; name a "
            "table, or use --all-cells."
        )

    return "Nothing to freeze yet: no call gave a table that is in use; --all takes every call."


_WORD = re.compile(r"[^\W\d]\w*")
_TAKE_TABLES = ("mcp_preview", "mcp_share", "mcp_unshare")
_OTHERS_CODE = frozenset(
    "claude mcp_about mcp_freeze mcp_call mcp_connect mcp_read mcp_prompt mcp_sql".split()
)


@lru_cache(maxsize=4096)  # every call looks through the cells after it
def names_in(source: str) -> frozenset[str]:
    """The names that a cell uses, in Python, in SQL over the notebook's own tables, and
    in magics that take tables.
    """
    try:
        tree = ast.parse(TransformerManager().transform_cell(source))
    except (SyntaxError, ValueError):
        # no Python: another language's cell, or one that failed
        return frozenset(_WORD.findall(source))

    return frozenset(name for node in ast.walk(tree) for name in _names(node))


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name):
        yield node.id

    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return

    constants = [a.value for a in node.args if isinstance(a, ast.Constant)]
    texts = [value for value in constants if isinstance(value, str)]
    if node.func.attr in ("run_line_magic", "run_cell_magic") and texts:
        yield from _in_magic(*texts)
    elif node.func.attr in ("sql", "asql", "query", "eval"):
        yield from _WORD.findall(" ".join(texts))


def _in_magic(name: str, line: str = "", body: str = "") -> Iterator[str]:
    if name in _TAKE_TABLES:
        yield from line.split()
    elif name == "mcp_sql" and line.split()[:1] == [OWN_SERVER]:
        yield from _WORD.findall(body)
    elif name not in _OTHERS_CODE:
        # %%time, %%capture: the code of a cell inside another magic
        yield from names_in(body) if body else _WORD.findall(line)
