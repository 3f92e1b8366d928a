"""Names in a checked statement, made private: no name that the model chose can reach a
table that was not shared.

Every table of the statement is either a shared one or one of its own WITH, told apart
by lexical scope. Both get names of ours. Were the scopes read differently by an engine,
it would look for a name that does not exist and not for the catalog's table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlglot import exp

from mcp_notebook.sharing.tool_errors import ToolError, did_you_mean

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

        if cte is not None:
            name = inner[id(cte)]
        else:
            name = private[offered[written.lower()]]

        if cte is None:
            used[name] = offered[written.lower()]

        if not table.alias:
            alias = table.args.get("alias") or exp.TableAlias()
            alias.set("this", exp.to_identifier(written))
            table.set("alias", alias)

        table.set("this", exp.to_identifier(name))

    for cte in query.find_all(exp.CTE):
        cte.args["alias"].set("this", exp.to_identifier(inner[id(cte)]))

    for number, derived in enumerate(query.find_all(exp.Subquery)):
        if (
            isinstance(derived.parent, exp.From | exp.Join | exp.Lateral)
            and not derived.alias
        ):
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
