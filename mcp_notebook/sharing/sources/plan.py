"""From a statement to the text that another engine runs: checked, its names private,
bounded, in the engine's dialect.

**Which dialect a model writes.** DuckDB's, for every table: one cell then means the
same on a frame of a thousand rows
and on a Spark table of a billion, `"double quotes"` stay names (in Spark they are
texts), and tables of two engines can be joined in one statement. sqlglot writes the
engine's dialect; where that is not exact `exact` mends it or refuses. The engine's own
functions may be called by their names where these are on its list. A statement that is
no DuckDB SQL but is the engine's own dialect (`` `backticks` ``, LATERAL VIEW) is taken
as that, as written.

**Names are private**: no name that the model chose can reach a table that was not
shared. Every table of the statement is either a shared one or one of its own WITH, told
apart by lexical scope. Both get names of ours. Were the scopes read differently by an
engine, it would look for a name that does not exist and not for the catalog's table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import ErrorLevel, SqlglotError
from sqlglot.transforms import move_ctes_to_top_level

from mcp_notebook.errors import ToolError, did_you_mean
from mcp_notebook.sharing.sources import guard
from mcp_notebook.sharing.sources.dialect_fixes import apply_dialect_fixes

PREFIX = "_mcp_"
_TABLE_ARGS = {"this", "alias"}


def privatise(
    query: exp.Query, tables: Iterable[str], views: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Rename all tables of the statement in place; the shared ones that it names, by
    their private names.

    `tables` are the offered names, matched in any letter case; `views` gives those the
    name under which the engine knows them. Raises `ToolError` for any other table.
    """
    offered = {name.lower(): name for name in tables}
    private = {
        name: f"{PREFIX}{number}"
        for number, name in enumerate(sorted(offered.values()))
    } | dict(views or {})
    inner = {
        id(cte): f"{PREFIX}w{number}"
        for number, cte in enumerate(query.find_all(exp.CTE))
    }
    used: dict[str, str] = {}
    for table in list(query.find_all(exp.Table)):
        written = _plain_name(table, offered.values())
        cte = _own(table, written)
        if cte is None and written.lower() not in offered:
            known = ", ".join(offered.values()) or "none yet"
            raise ToolError(
                "There is no table "
                f"{written!r}.{did_you_mean(written, offered.values())} Tables: {known}."
            )

        if cte is None:
            shared = offered[written.lower()]
            name = private[shared]
            used[name] = shared
        else:
            name = inner[id(cte)]

        if not table.alias:
            alias = table.args.get("alias") or exp.TableAlias()
            alias.set("this", exp.to_identifier(written))
            table.set("alias", alias)

        table.set("this", exp.to_identifier(name))

    for cte in query.find_all(exp.CTE):
        cte.args["alias"].set("this", exp.to_identifier(inner[id(cte)]))

    for number, derived in enumerate(query.find_all(exp.Subquery)):
        is_table = isinstance(derived.parent, exp.From | exp.Join | exp.Lateral)
        if is_table and not derived.alias:
            derived.set(
                "alias", exp.TableAlias(this=exp.to_identifier(f"{PREFIX}s{number}"))
            )

    return used


def spell(query: exp.Query, columns: Mapping[str, Iterable[str]]) -> None:
    """Write every identifier quoted and as it was defined, since DuckDB does not tell
    letter cases apart.

    `columns` are those of the used tables; an alias is spelled as where it stands first.
    """
    known = [name for names in columns.values() for name in names]
    spelled = {name.lower(): name for name in reversed(known)}
    exact = set(known)
    for identifier in query.find_all(exp.Identifier):
        name = identifier.name
        if name not in exact:
            name = spelled.setdefault(name.lower(), name)

        identifier.set("this", name)
        identifier.set("quoted", True)


def check_columns(query: exp.Query, columns: Mapping[str, Iterable[str]]) -> None:
    """Refuse names that are neither columns nor defined in the statement (Spark
    resolves `user` and variables so).

    The way for statements that DuckDB's own binder cannot judge; raises `ToolError`
    with near misses.
    """
    real = {name.lower(): name for names in columns.values() for name in names}
    defined = {name.lower() for name in _names_defined(query)}
    for column in query.find_all(exp.Column):
        first = (
            column.parts[0].name if not isinstance(column.this, exp.Star) else ""
        ).lower()
        last = column.name.lower()
        if isinstance(column.this, exp.Star) or first in real:
            continue

        if first not in defined or (
            len(column.parts) > 1 and last not in real and last not in defined
        ):
            if first not in defined:
                wanted = column.parts[0].name
            else:
                wanted = column.name

            raise ToolError(
                f"There is no column {wanted!r}.{did_you_mean(wanted, real.values())} "
                f"Columns: {', '.join(list(real.values())[:40])}."
            )


def refuse_session_words(
    query: exp.Query, columns: Mapping[str, Iterable[str]]
) -> None:
    """Words that are a function without parentheses where no column has the name:
    `user`, `current_user`, ...
    """
    real = {name.lower() for names in columns.values() for name in names}
    for column in query.find_all(exp.Column):
        word = column.name.lower()
        if len(column.parts) == 1 and word in _LITERAL_FUNCTIONS and word not in real:
            raise ToolError(
                f"Refused: {word} is a function of the engine and no column; give a "
                "column another alias."
            )


_LITERAL_FUNCTIONS = set(
    """
    current_user user session_user system_user current_role current_catalog
    current_database current_schema current_path current_timezone version session
""".split()
)


def _names_defined(query: exp.Query) -> Iterable[str]:
    for node in query.walk():
        if isinstance(
            node,
            exp.Alias
            | exp.TableAlias
            | exp.CTE
            | exp.Table
            | exp.Subquery
            | exp.Window,
        ):
            yield node.alias or ""

        if isinstance(node, exp.TableAlias):
            yield from (column.name for column in node.args.get("columns") or ())

        if isinstance(node, exp.Lambda):
            yield from (parameter.name for parameter in node.expressions)


def _plain_name(table: exp.Table, offered: Iterable[str]) -> str:
    if not isinstance(table.this, exp.Identifier):
        raise ToolError(
            f"Refused: the table function {table.this.sql()[:60]} is not available for this table."
        )

    given = {key for key, value in table.args.items() if value}
    if given & {"db", "catalog"}:
        named = ".".join(part.name for part in table.parts)
        known = ", ".join(offered) or "none yet"
        raise ToolError(
            f"There is no table {named!r}: only shared tables can be read, by their "
            f"plain names: {known}."
        )

    if given - _TABLE_ARGS:
        raise ToolError(
            f"Refused: {sorted(given - _TABLE_ARGS)[0]} after a table is not available."
        )

    return table.name


def _own(table: exp.Table, name: str) -> exp.CTE | None:
    """The WITH entry that the name stands for at this place."""
    node: exp.Expr = table
    inside: exp.CTE | None = None
    while node.parent is not None:
        child, node = node, node.parent
        if isinstance(child, exp.CTE):
            inside = child

        clause = node.args.get("with_")
        if not isinstance(clause, exp.With):
            continue

        visible = clause.expressions
        if child is clause and inside is not None:
            at = next(i for i, cte in enumerate(visible) if cte is inside)
            if clause.recursive:
                visible = visible[: at + 1]
            else:
                visible = visible[:at]

        for cte in reversed(visible):
            if cte.alias.lower() == name.lower():
                return cte

    return None


Columns = Mapping[str, str]
"""Column name -> the kind of its values ("integer", "float", "decimal", "text",
"date", "list", ...).
"""


@dataclass(frozen=True)
class Plan:
    """One SELECT for an engine. `tables`: private name, quoted as the engine quotes ->
    shared name; the engine's text puts a WITH entry before `ctes` for each that is no
    view there. `judge`: whether DuckDB's binder can say if names and types are right,
    and what the answer's columns are.
    """

    body: str
    ctes: str
    recursive: bool
    tables: dict[str, str]
    judge: bool

    def text(self, sources: Mapping[str, str], *, hint: str = "") -> str:
        """The whole statement; `sources` gives for each private name that is no view
        the SELECT that it stands for.
        """
        ours = [f"{name} AS {hint}(\n{select}\n)" for name, select in sources.items()]
        entries = ", ".join([*ours, *([self.ctes] if self.ctes else [])])
        if entries:
            clause = f"WITH {'RECURSIVE ' if self.recursive else ''}{entries}\n"
        else:
            clause = ""

        return clause + self.body

    @staticmethod
    def projection(source: str, columns: Mapping[str, bool], dialect: str) -> str:
        """`SELECT` of the columns from the source; of a masked one (True) only whether
        there is a value.
        """

        def quote_name(name: str) -> str:
            return exp.to_identifier(name, quoted=True).sql(dialect=dialect)

        parts = [
            f"CASE WHEN {quote_name(n)} IS NULL THEN NULL ELSE 'masked' END AS {quote_name(n)}"
            if masked
            else quote_name(n)
            for n, masked in columns.items()
        ]
        return f"SELECT {', '.join(parts)} FROM {source}"  # noqa: S608 - names are quoted

    def as_json(self) -> dict[str, Any]:
        """For the way from the worker process to the notebook's."""
        return asdict(self)


def make(
    sql: str,
    dialect: str,
    tables: Mapping[str, Columns],
    *,
    rows: int,
    read: str = "duckdb",
    views: Mapping[str, str] | None = None,
) -> Plan:
    """The plan of a statement over `tables`, all of one engine, that gives at most
    `rows` rows; raises `ToolError`.

    `views`: shared name -> the name (it begins with `PREFIX`) of a view by which
    the engine knows the table.
    """
    try:
        query = guard.parse(sql, read)
        guard.check_functions(query, dialect, read=read)
        used = privatise(query, tables, views)
        return _plan_statement(
            query,
            dialect,
            {shared: tables[shared] for shared in used.values()},
            used,
            rows,
            read,
        )
    except SqlglotError as error:
        raise ToolError(
            f"This cannot be said exactly in {dialect} SQL: {guard.first_line(error)}"
        ) from error
    except RecursionError:
        raise ToolError(
            "The statement is nested too deeply: name parts of it in a WITH."
        ) from None


def make_as_read(
    sql: str, dialect: str, tables: Mapping[str, Columns], **options: Any
) -> Plan:
    """The plan of a statement that is DuckDB's or, where it is none, the engine's own."""
    try:
        return make(sql, dialect, tables, **options)
    except guard.UnreadableError:
        if not guard.is_in(sql, dialect):
            raise
        return make(sql, dialect, tables, read=dialect, **options)


def is_only_in(sql: str, dialect: str) -> bool:
    """Whether the text is that dialect's and not DuckDB's."""
    try:
        guard.parse(sql, "duckdb")
    except ToolError:
        return guard.is_in(sql, dialect)

    return False


def _plan_statement(
    query: exp.Query,
    dialect: str,
    tables: Mapping[str, Columns],
    used: Mapping[str, str],
    rows: int,
    read: str,
) -> Plan:
    """The plan of a checked statement whose tables have their private names (`used`:
    private name -> shared name).
    """
    columns = {name: tuple(kinds) for name, kinds in tables.items()}
    refuse_session_words(query, columns)
    judge = read == "duckdb" and not guard.calls_own(query, dialect)
    if not judge:
        check_columns(query, columns)

    if read == "duckdb" and dialect != "duckdb":
        query = apply_dialect_fixes(query, dialect, _kinds(query, tables.values()))

    spell(query, columns)
    query = _lift_query(query, dialect)
    _bound(query, rows)
    # sqlglot would move inner WITHs only after ours have been put before the text
    if dialect == "spark":
        query = move_ctes_to_top_level(query)

    clause = query.args.get("with_")
    if clause is not None:
        query.set("with_", None)

    if clause is not None:
        ctes = ", ".join(_write(cte, dialect) for cte in clause.expressions)
    else:
        ctes = ""

    quoted = {
        exp.to_identifier(name, quoted=True).sql(dialect=dialect): shared
        for name, shared in used.items()
    }
    plan = Plan(
        _write(query, dialect), ctes, bool(clause and clause.recursive), quoted, judge
    )
    _check_text(plan, dialect)
    return plan


def _kinds(query: exp.Query, tables: Iterable[Columns]) -> dict[str, str]:
    """What each column name holds, where that is certain: the same in all tables, and
    given to nothing else here.
    """
    kinds: dict[str, str] = {}
    for columns in tables:
        for name, kind in columns.items():
            kinds[name.lower()] = kind if kinds.get(name.lower(), kind) == kind else ""

    for alias in query.find_all(exp.Alias):
        if not (
            isinstance(alias.this, exp.Column)
            and alias.this.name.lower() == alias.alias.lower()
        ):
            kinds.pop(alias.alias.lower(), None)

    for table in query.find_all(exp.TableAlias):
        for column in table.args.get("columns") or ():
            kinds.pop(column.name.lower(), None)

    return kinds


def _bound(query: exp.Query, rows: int) -> None:
    """LIMIT at the statement's own end, since engines may forget the order of a subquery."""
    given = query.args.get("limit")
    if given is None:
        query.limit(rows, copy=False)
        return

    if isinstance(given, exp.Fetch):
        count = given.args.get("count")
    else:
        count = given.expression

    options = given.args.get("limit_options")
    if (
        not (isinstance(count, exp.Literal) and count.this.isdigit())
        or _odd(options)
        or given.expressions
    ):
        raise ToolError("Write LIMIT with a plain number.")

    query.set(
        "limit", exp.Limit(expression=exp.Literal.number(min(int(count.this), rows)))
    )


def _lift_query(query: exp.Query, dialect: str) -> exp.Query:
    # so that the outermost SELECT can be replaced like any other
    holder = exp.Paren(this=query)
    for select in list(query.find_all(exp.Select)):
        _lift(select, dialect)
    return holder.this.pop()


def _lift(select: exp.Select, dialect: str) -> None:
    """Put ORDER BY, LIMIT and OFFSET around a SELECT whose QUALIFY or DISTINCT ON
    becomes an outer filter.

    sqlglot would leave them inside, where they would cut rows before the filter.
    """
    distinct = select.args.get("distinct")
    on = isinstance(distinct, exp.Distinct) and distinct.args.get("on") is not None
    native = {"duckdb": (True, True), "postgres": (False, True)}.get(
        dialect, (False, False)
    )
    if not ((select.args.get("qualify") and not native[0]) or (on and not native[1])):
        return

    order = select.args.get("order")
    moved = {
        key: select.args[key] for key in ("limit", "offset") if select.args.get(key)
    }
    outer = exp.select("*")
    for key, node in moved.items():
        select.set(key, None)
        outer.set(key, node)

    clause = select.args.get("with_")
    if clause is not None:
        select.set("with_", None)
        outer.set("with_", clause)

    if order is not None:
        if not on:
            select.set("order", None)

        outer.set("order", _drop_qualifiers(order.copy()))

    select.replace(outer)
    name = exp.to_identifier(f"{PREFIX}q", quoted=True)
    outer.set(
        "from_",
        exp.From(this=exp.Subquery(this=select, alias=exp.TableAlias(this=name))),
    )


def _drop_qualifiers(order: exp.Expr) -> exp.Expr:
    for column in order.find_all(exp.Column):
        for part in ("table", "db", "catalog"):
            column.set(part, None)
    return order


def _odd(options: exp.Expr | None) -> bool:
    return options is not None and bool(
        options.args.get("percent") or options.args.get("with_ties")
    )


def _write(node: exp.Expr, dialect: str) -> str:
    return node.sql(dialect=dialect, comments=False, unsupported_level=ErrorLevel.RAISE)


def _check_text(plan: Plan, dialect: str) -> None:
    """What was written is read once more, as the engine reads it: one SELECT over
    private names, nothing else.
    """
    text = plan.text(dict.fromkeys(plan.tables, "SELECT 1"))
    if dialect in ("spark", "databricks", "hive") and "${" in text:
        raise ToolError(
            "Refused: ${...} is replaced by the value of a setting or variable in "
            "Spark: leave it out."
        )

    statements = sqlglot.parse(text, read=dialect)
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise ToolError("Refused: the statement is not one SELECT.")

    for table in statements[0].find_all(exp.Table):
        inner = isinstance(table.this, exp.Identifier) and table.name.startswith(PREFIX)
        if not inner or table.args.get("db") or table.args.get("catalog"):
            raise ToolError(f"Refused: {table.sql()[:60]} is no shared table.")


# ---- which columns of a table a statement can need

_ALL = (exp.Columns, exp.Pivot, exp.Describe, exp.Summarize, exp.PositionalColumn)


def named_columns(
    sql: str, tables: Mapping[str, Sequence[str]]
) -> dict[str, list[str]]:
    """The columns by table, in the table's order; all of them when the statement takes
    them by other means.
    """
    try:
        trees = [tree for tree in sqlglot.parse(sql, read="duckdb") if tree is not None]
    except (SqlglotError, RecursionError, ValueError):
        return {name: list(columns) for name, columns in tables.items()}

    if any(_takes_all(tree) for tree in trees):
        return {name: list(columns) for name, columns in tables.items()}

    words = {
        node.name.lower() for tree in trees for node in tree.find_all(exp.Identifier)
    }
    whole = {node.name.lower() for tree in trees for node in tree.find_all(exp.Column)}
    aliases = _aliases(trees)
    return {
        name: list(columns)
        # `SELECT t FROM t` is the row
        if whole & aliases.get(name.lower(), {name.lower()})
        else [column for column in columns if column.lower() in words]
        for name, columns in tables.items()
    }


def _takes_all(tree: exp.Expr) -> bool:
    for node in tree.walk():
        if isinstance(node, exp.Star) and not isinstance(node.parent, exp.Count):
            return True
        if isinstance(node, _ALL) or (isinstance(node, exp.Join) and node.method):
            return True
        if (
            isinstance(node, exp.TableAlias)
            and node.columns
            and not isinstance(node.parent, exp.CTE)
        ):
            return True  # `t AS u(a, b)` names columns by their places

    return not isinstance(tree, exp.Query)


def _aliases(trees: Sequence[exp.Expr]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for tree in trees:
        for table in tree.find_all(exp.Table):
            found.setdefault(table.name.lower(), {table.name.lower()}).add(
                (table.alias or table.name).lower()
            )

    return found
