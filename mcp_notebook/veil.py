r"""The masked columns of a notebook (`MCPNotebook.mask`) as everything that leaves sees
them: by name, by the SQL that computes with them, and by the values once seen.

The person sees their own data; models, outside clients, logs, recordings and frozen code
get `***`. What this cannot do stands in docs/masking.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase, translate
from functools import lru_cache
from importlib import import_module
from types import MappingProxyType
from typing import Any

from mcp_notebook.secrets import MASK, KnownValues
from mcp_notebook.sql_effects import is_query_tree, likely_dialects, parse_first
from mcp_notebook.sql_words import (
    argument_texts,
    is_query,
    looks_around,
    statements_of,
)

# A node of sqlglot's tree; sqlglot is loaded at the first statement.
Node = Any
Covers = Callable[[str], bool]
STAR = "*"
NO_VIEWS: Mapping[str, str] = MappingProxyType({})
_WORDS = re.compile(r"\w+")
# What gives nothing of a whole column's values away, and what names columns by a pattern.
_COUNTING = ("Count", "ApproxDistinct")
_SAFE = ("RowNumber",)
MOST_NESTED_VIEWS = 10
_UNFOLLOWED = ("Pivot", "MatchRecognize", "Command", "Columns")


# ---- which columns of an answer were made from masked ones
#
# sqlglot reads the statement, and every output is followed to the columns that it is
# made from: through expressions, subqueries, common table expressions, set operations
# and renamed columns. Counting and asking whether there is a value give nothing away.
# What cannot be followed counts as masked. Conditions are not followed (`WHERE email
# LIKE 'a%'` shows which rows there are); views are where the server tells their text.


class Unfollowed(Exception):
    """A statement of which it cannot be said what its columns are made from."""


@dataclass(frozen=True)
class Output:
    """A column of a query: its name ("" when only the engine knows it, `*` for all
    columns of a table), and whether a masked value may be in it.
    """

    name: str
    masked: bool


Outputs = tuple[Output, ...]


@dataclass(frozen=True)
class Scope:
    """What names mean inside one SELECT: its sources (None: a table of the database),
    the queries that were given a name, and outputs before this one.
    """

    queries: Mapping[str, Outputs]
    sources: Mapping[str, Outputs | None] = field(default_factory=dict)
    outer: Scope | None = None
    before: Mapping[str, bool] = field(default_factory=dict)


def masked_columns(
    sql: str,
    columns: Sequence[str],
    covers: Covers,
    hint: str = "",
    views: Mapping[str, str] = NO_VIEWS,
) -> frozenset[str]:
    """The columns of the answer to a statement that may hold values of masked columns.

    `covers` says which names are masked; `hint` are the names of the server and its
    tool, which tell the dialect; `views` are the queries of the database's views that
    the statement names, as far as they are known.
    """
    # a second column of one name is told apart by a number
    named = frozenset(name for name in columns if covers(name) or covers(_plain(name)))
    if not sql or not (is_query(sql) or looks_around(sql)):
        return named

    summarized = _SUMMARIZE.match(sql)
    if summarized is not None:
        return named | _mask_summary(
            sql[summarized.end() :], columns, covers, hint, views
        )

    readings = _read_outputs(sql, covers, hint, views)
    if readings:
        placed = (_place_outputs(outputs, columns) for outputs in readings)
        return named.union(*placed)

    told = " ".join((sql, *views.values()))
    if mentions(told, covers) and not looks_around(sql):
        return frozenset(columns)

    return named


def tells_masked(
    sql: str, covers: Covers, hint: str = "", views: Mapping[str, str] = NO_VIEWS
) -> bool:
    """Whether the answer to a statement may hold masked values in a text that is not
    read as a table: of which columns all of its values are cannot be said there.
    """
    if not is_query(sql):
        return False

    readings = _read_outputs(sql, covers, hint, views)
    if not readings:
        return mentions(" ".join((sql, *views.values())), covers)

    outputs = [output for reading in readings for output in reading]
    return any(output.masked or output.name == STAR for output in outputs)


# what a summary of a column says without a value of it
_PLAIN_FACTS = ("column_name", "column_type", "count", "null_percentage")
_SUMMARIZE = re.compile(r"\s*summarize\b", re.IGNORECASE)


def _mask_summary(
    of: str, columns: Sequence[str], covers: Covers, hint: str, views: Mapping[str, str]
) -> frozenset[str]:
    """The columns of DuckDB's SUMMARIZE that tell values, where what is summed up holds
    masked values under names that tell nothing; rows of masked names are hidden as rows.
    """
    if is_query(of):
        query = of
    else:
        query = f"select * from {of}"  # noqa: S608 - it is read and never run

    readings = _read_outputs(query, covers, hint, views)
    outputs = [output for reading in readings for output in reading]
    if readings and not any(o.masked and not covers(o.name) for o in outputs):
        return frozenset()

    return frozenset(columns) - frozenset(_PLAIN_FACTS)


def mentions(sql: str, covers: Covers) -> bool:
    """Whether a masked name stands anywhere in the text."""
    return any(covers(word) for word in set(_WORDS.findall(sql)))


def _read_outputs(
    sql: str, covers: Covers, hint: str, views: Mapping[str, str]
) -> list[Outputs]:
    """The outputs of a statement, as each dialect reads it that the server may speak;
    empty when none can.
    """
    trees = import_module("sqlglot.expressions")
    found: list[Outputs] = []
    for dialect in likely_dialects(hint):
        tree = _parse(sql, dialect)
        if tree is None:
            continue

        followed = _follow_views(views, dialect, covers, trees)
        try:
            outputs = _Follower(covers, trees, followed).outputs(tree, Scope({}))
        except (Unfollowed, RecursionError):
            outputs = (Output(STAR, True),)

        if outputs not in found:
            found.append(outputs)

    return found


def _follow_views(
    views: Mapping[str, str], dialect: str, covers: Covers, trees: Any
) -> dict[str, Outputs]:
    """The outputs of each view. A view may read others: as often as there are views,
    each is followed with what the last round knew, so that their order does not count.
    """
    # one that was not read yet, or cannot be, counts as masked
    known: dict[str, Outputs] = dict.fromkeys(views, (Output(STAR, True),))
    for _ in range(min(len(views), MOST_NESTED_VIEWS)):
        before = dict(known)
        for name, sql in views.items():
            known[name] = _follow_view(sql, dialect, _Follower(covers, trees, before))

        if known == before:
            break

    return known


def _follow_view(sql: str, dialect: str, follower: _Follower) -> Outputs:
    view = _parse_any(sql, dialect)
    if type(view).__name__ == "Create":
        query, names = view.expression, _column_names(view.this)
    else:
        query, names = view, []

    if query is None:
        return (Output(STAR, True),)

    try:
        return _name_outputs(follower.outputs(query, Scope({})), names)
    except (Unfollowed, RecursionError):
        return (Output(STAR, True),)


def _column_names(made: Node) -> list[str]:
    """The names that `CREATE VIEW v(a, b)` gives its columns."""
    return [column.name.casefold() for column in made.expressions or ()]


@lru_cache(maxsize=256)
def _parse(sql: str, dialect: str) -> Any:
    tree = _parse_any(sql, dialect)
    if tree is not None and is_query_tree(tree):
        return tree

    return None


@lru_cache(maxsize=256)
def _parse_any(sql: str, dialect: str) -> Any:
    trees = parse_first(sql, (dialect,))
    if trees is not None and len(trees) == 1:
        return trees[0]

    return None


# as `results` names columns that came without names
_NUMBERED = re.compile(r"column_\d+")


def _place_outputs(outputs: Outputs, columns: Sequence[str]) -> frozenset[str]:
    """The masked ones among the columns of an answer: by their place as far as no `*`
    stands before them, or after them; between two by their name.
    """
    has_star = any(output.name == STAR for output in outputs)
    if has_star and all(_NUMBERED.fullmatch(name) for name in columns):
        return frozenset(columns)  # the server sent no names

    if not any(output.masked for output in outputs):
        return frozenset()

    stars = [at for at, output in enumerate(outputs) if output.name == STAR]
    if not stars:
        if len(outputs) != len(columns):
            return frozenset(columns)

        pairs = zip(outputs, columns, strict=True)
        return frozenset(name for output, name in pairs if output.masked)

    first, after = stars[0], len(outputs) - stars[-1] - 1
    if len(columns) < first + after:
        return frozenset(columns)

    last = len(columns) - after
    front = zip(outputs[:first], columns[:first], strict=True)
    back = zip(outputs[len(outputs) - after :], columns[last:], strict=True)
    found = {name for output, name in (*front, *back) if output.masked}
    between = outputs[first : len(outputs) - after]
    return frozenset(found | _match_between(between, columns[first:last]))


def _match_between(outputs: Outputs, columns: Sequence[str]) -> set[str]:
    masked = [output.name for output in outputs if output.masked]
    if not masked:
        return set()

    if STAR in masked or "" in masked:
        return set(columns)

    return {name for name in columns if _plain(name) in masked}


def _plain(name: str) -> str:
    return re.sub(r"_\d+$", "", name.casefold())


class _Follower:
    def __init__(
        self, covers: Covers, trees: Any, views: Mapping[str, Outputs]
    ) -> None:
        # `trees`: sqlglot's kinds of nodes, which load where a statement is followed
        self._covers, self._exp, self._views = covers, trees, views

    def outputs(self, query: Node, scope: Scope) -> Outputs:
        """The outputs of a query; raises `Unfollowed`."""
        scope = self._with_queries(query, scope)
        if isinstance(query, self._exp.Subquery):
            return self._rename_outputs(self.outputs(query.this, scope), query)

        if isinstance(query, self._exp.SetOperation):
            return _join_outputs(
                self.outputs(query.left, scope), self.outputs(query.right, scope)
            )

        if isinstance(query, self._exp.Select):
            return self._follow_select(query, scope)

        if isinstance(query, self._exp.Values):
            is_masked = self._is_masked(query, scope)
            return (Output(STAR, is_masked),)

        if isinstance(query, self._exp.Table):
            return self._all_of(self._follow_source(query, scope), scope)

        raise Unfollowed

    def _with_queries(self, query: Node, scope: Scope) -> Scope:
        with_ = query.args.get("with_") or query.args.get("with")
        if with_ is None:
            return scope

        known = dict(scope.queries)
        for cte in with_.expressions:
            name = cte.alias_or_name.casefold()
            inner = Scope(known, outer=scope.outer)
            if with_.args.get("recursive"):
                inner = Scope(
                    {**known, name: self._read_anchor(cte, inner)}, outer=scope.outer
                )

            known[name] = self._rename_outputs(self.outputs(cte.this, inner), cte)

        return Scope(known, scope.sources, scope.outer)

    def _read_anchor(self, cte: Node, scope: Scope) -> Outputs:
        """What a recursive query begins with, as it sees itself."""
        body = cte.this
        while isinstance(body, self._exp.SetOperation):
            body = body.left

        return self._rename_outputs(self.outputs(body, scope), cte)

    def _follow_select(self, select: Node, scope: Scope) -> Outputs:
        if any(type(node).__name__ in _UNFOLLOWED for node in select.walk()):
            raise Unfollowed

        inner = Scope(scope.queries, self._follow_sources(select, scope), scope.outer)
        found: list[Output] = []
        before: dict[str, bool] = {}
        for item in select.expressions:
            here = Scope(inner.queries, inner.sources, inner.outer, before)
            outputs = self._follow_item(item, here)
            found += outputs
            before |= {output.name: output.masked for output in outputs if output.name}

        return tuple(found)

    def _follow_item(self, item: Node, scope: Scope) -> Outputs:
        if isinstance(item, self._exp.Star):
            star = item
        else:
            star = item.this

        if isinstance(item, self._exp.Star | self._exp.Column) and isinstance(
            star, self._exp.Star
        ):
            if star.args.get("replace") or star.args.get("rename"):
                raise Unfollowed

            wanted = getattr(item, "table", "").casefold()
            if wanted:
                tables = [wanted]
            else:
                tables = list(scope.sources)

            expanded = [self._all_of(scope.sources.get(t), scope) for t in tables]
            return tuple(output for outputs in expanded for output in outputs)

        name = item.alias_or_name.casefold()
        return (Output(name, self._is_masked(item, scope)),)

    def _all_of(self, outputs: Outputs | None, scope: Scope) -> Outputs:
        if outputs is None:
            return (Output(STAR, False),)

        return outputs

    def _follow_sources(self, select: Node, scope: Scope) -> dict[str, Outputs | None]:
        first = select.args.get("from_") or select.args.get("from")
        if first is not None:
            parts = [first.this]
        else:
            parts = []

        parts += [join.this for join in select.args.get("joins") or ()]
        parts += list(select.args.get("laterals") or ())
        found: dict[str, Outputs | None] = {}
        for number, part in enumerate(parts):
            # a joined table may stand in brackets with further joins
            for table in (part, *[join.this for join in part.args.get("joins") or ()]):
                if isinstance(
                    table, self._exp.Lateral | self._exp.Unnest | self._exp.Func
                ):
                    around = Scope(scope.queries, found, scope.outer)
                    made = (Output(STAR, self._is_masked(table, around)),)
                else:
                    # a function in FROM may take the rows of those before it
                    around = Scope(scope.queries, found, scope.outer)
                    made = self._follow_source(table, around)

                found[table.alias_or_name.casefold() or f"?{number}"] = made

        return found

    def _follow_source(self, table: Node, scope: Scope) -> Outputs | None:
        if not isinstance(table, self._exp.Table):
            return self.outputs(table, scope)

        known = None
        if not table.db:
            known = scope.queries.get(table.name.casefold())

        if known is None:
            known = self._views.get(table.name.casefold())

        if known is not None:
            return self._rename_outputs(known, table)

        # a function that makes a table may be given SQL, or names, as text
        is_made = isinstance(table.this, self._exp.Func)
        if is_made and self._is_masked(table.this, scope):
            return (Output(STAR, True),)

        if _new_names(table):
            return (Output(STAR, True),)

        return None

    def _rename_outputs(self, outputs: Outputs, of: Node) -> Outputs:
        """The outputs under the names that an alias gives them, `AS t(a, b)`."""
        return _name_outputs(outputs, _new_names(of))

    def _is_masked(self, expression: Node, scope: Scope) -> bool:
        """Whether a value of the expression may be made from a masked one."""
        judges: Mapping[type, Callable[..., bool]] = {
            self._exp.Query: self._is_masked_query,
            # every column of its tables, as one value
            self._exp.Star: lambda star, scope: True,
            self._exp.Column: self._is_masked_column,
            self._exp.Literal: self._is_masked_text,
            self._exp.Identifier: lambda name, scope: self._covers(name.name),
            self._exp.JSONPathPart: self._is_masked_path,
            self._exp.Alias: lambda alias, scope: self._is_masked(alias.this, scope),
            self._exp.TableAlias: lambda alias, scope: False,
        }
        if self._tells_no_value(expression):
            return False

        for kind, judge in judges.items():
            if isinstance(expression, kind):
                return judge(expression, scope)

        children = expression.iter_expressions()
        return any(self._is_masked(child, scope) for child in children)

    def _tells_no_value(self, expression: Node) -> bool:
        """Whether there is a value, and how many: of columns as they are, since what
        was computed may be null by the value (`count(email > 'r' or null)`).
        """
        kind = type(expression).__name__
        if kind not in _COUNTING:
            return kind in _SAFE or _asks_for_null(expression)

        counted = expression.this
        if isinstance(counted, self._exp.Distinct):
            parts = counted.expressions
        else:
            parts = [counted]

        plain = (self._exp.Column, self._exp.Star, self._exp.Literal)
        return all(part is None or isinstance(part, plain) for part in parts)

    def _is_masked_query(self, query: Node, scope: Scope) -> bool:
        """A query as a value: what it gives, and what it gives it for."""
        inner = Scope(scope.queries, outer=scope)
        if any(output.masked for output in self.outputs(query, inner)):
            return True

        return any(map(self._is_tested, query.find_all(self._exp.Column)))

    def _is_tested(self, column: Node) -> bool:
        """Whether a masked column stands in a condition that compares its value with
        something other than another column.
        """
        around = column.parent
        if not self._covers(column.name) or _asks_for_null(around):
            return False

        if isinstance(around, self._exp.EQ):
            sides = (around.this, around.expression)
            return not all(isinstance(side, self._exp.Column) for side in sides)

        # what is selected was judged as an output
        is_output = isinstance(around, self._exp.Select | self._exp.Alias)
        return not is_output and not self._tells_no_value(around)

    def _is_masked_text(self, literal: Node, scope: Scope) -> bool:
        return literal.is_string and mentions(literal.name, self._covers)

    def _is_masked_path(self, part: Node, scope: Scope) -> bool:
        return self._covers(str(part.this))

    def _is_masked_column(self, column: Node, scope: Scope) -> bool:
        table, name = column.table.casefold(), column.name.casefold()
        if isinstance(column.this, self._exp.Star):
            return True

        inside: Scope | None = scope
        while inside is not None:
            found = self._look_up(table, name, inside)
            if found is not None:
                return found

            inside = inside.outer

        # the parts of a path into a struct may be the column, too
        parts = [part.name for part in column.parts]
        return any(map(self._covers, parts))

    def _look_up(self, table: str, name: str, scope: Scope) -> bool | None:
        """Whether a column of this SELECT is masked; None when it is not one of those
        whose outputs are known.
        """
        if not table and name in scope.sources:
            return True  # a whole row as one value

        if not table and scope.before.get(name):
            return True

        if table:
            tables = [table]
        else:
            tables = list(scope.sources)

        known = [output for one in tables for output in scope.sources.get(one) or ()]
        same = [output.masked for output in known if output.name == name]
        if same:
            return self._covers(name) or any(same)

        if Output(STAR, True) in known:
            return True

        return None


def _name_outputs(outputs: Outputs, names: Sequence[str]) -> Outputs:
    """The outputs under new names, of which there may be fewer."""
    if not names:
        return outputs

    if any(output.name == STAR for output in outputs):
        # a table's columns in an order that only the engine knows
        return (Output(STAR, True),)

    renamed = [
        Output(name, output.masked)
        for name, output in zip(names, outputs, strict=False)
    ]
    return (*renamed, *outputs[len(renamed) :])


def _new_names(of: Node) -> list[str]:
    alias = of.args.get("alias")
    if alias is not None:
        columns = alias.args.get("columns")
    else:
        columns = None

    return [column.name.casefold() for column in columns or ()]


def _asks_for_null(expression: Node) -> bool:
    kind = type(expression).__name__
    if kind == "Not":
        return _asks_for_null(expression.this)

    return kind == "Is" and type(expression.expression).__name__ == "Null"


def _join_outputs(left: Outputs, right: Outputs) -> Outputs:
    """The outputs of a set operation: the names of the first, the values of both."""
    stars = any(output.name == STAR for output in (*left, *right))
    if not stars and len(left) == len(right):
        pairs = zip(left, right, strict=True)
        return tuple(Output(a.name, a.masked or b.masked) for a, b in pairs)

    if left == right:
        return left

    # which column meets which is known to the engine alone
    return (Output(STAR, True),)


# ---- columns that a call names without SQL: `fields`, `group_by`, a pipeline of stages


# What the argument of a tool is called that says which columns the answer has, and of
# what. Not what rows are chosen or ordered by.
_COLUMN_ARGUMENT = re.compile(
    r"column|field|select|group|aggregat|metric|measure|dimension|distinct|projec"
    r"|propert|attribute|pipeline|expression|formula|pivot|histogram"
    r"|(?:^|\.)(?:by|x|y|expr|values?)$",
    re.IGNORECASE,
)
_ORDERING = re.compile(r"(?:^|[._])(?:sort|order|filter|where|match)", re.IGNORECASE)
_BARE_NAME = re.compile(r"[$\"`\[]*(?:\w+[.])*(?P<name>\w+)[\"`\]]*")


def _named_columns(arguments: Mapping[str, Any]) -> list[str]:
    """What a call says of the columns that it wants, piece by piece."""
    pieces: list[str] = []
    for name, text in argument_texts(arguments):
        is_meant = _COLUMN_ARGUMENT.search(name) and not _ORDERING.search(name)
        # `"$email"` is a field wherever it stands
        if (is_meant or text.startswith("$")) and not is_query(text):
            pieces += re.split(r",(?![^(]*\))", text)

    return [piece.strip() for piece in pieces]


def _mask_named(
    arguments: Mapping[str, Any], names: Sequence[str], covers: Covers
) -> frozenset[str]:
    """The columns of an answer that may be made from a masked one, since the call names
    it and the answer has no column of that name: all but those that the call names, too.
    """
    pieces = _named_columns(arguments)
    bare = {
        piece: found["name"].casefold()
        for piece in pieces
        if (found := _BARE_NAME.fullmatch(piece))
    }
    present = {name.casefold() for name in names}
    asked = [piece for piece in pieces if mentions(piece, covers)]
    if all(bare.get(piece) in present for piece in asked):
        return frozenset()

    others = {name for piece, name in bare.items() if piece not in asked}
    return frozenset(name for name in names if name.casefold() not in others)


# ---- the masked columns of a notebook


MOST_LEARNED = 50_000  # values of one column
LEAST_TEXT = 4  # characters; a shorter text stands in too many others
LEAST_DIGITS = 5  # a shorter number, too
_QUOTED = re.compile(r"'([^'\n]{1,500})'|\"([^\"\n]{1,500})\"|`([^`\n]{1,500})`")
_TYPE = re.compile(
    r"(?:big|small|tiny|u)?int(?:eger)?\d*|text|(?:var)?char.*|string|real|float\d*|double.*"
    r"|numeric.*|decimal.*|bool(?:ean)?|date|time.*|uuid|blob|bytea|json.*|any|object",
    re.IGNORECASE,
)


# What our database server says beside an answer, in its `_meta`: the dialect, the
# queries of the views that the statement names, and that it failed on a value.
DIALECT = "mcp_notebook/dialect"
VIEWS = "mcp_notebook/views"
FAILED_ON_VALUES = "mcp_notebook/failed_on_values"
NOT_TOLD = (
    "(not shown: masked columns are in the answer, and its text does not say which "
    "values are theirs; name the columns that you need, without masked ones)"
)
FAILED_ON_VALUE = (
    "The statement failed on a value while it ran. The table has masked columns, so the "
    "database's words are not shown: leave masked columns out of casts and functions."
)


class Veil:
    """What is masked in one kernel. `patterns` gives the settings of the moment."""

    def __init__(self, patterns: Callable[[], Sequence[str]] = tuple) -> None:
        self._patterns = patterns
        self.known = KnownValues()

    @property
    def patterns(self) -> tuple[str, ...]:
        """The names and patterns that the person set."""
        return tuple(self._patterns())

    def __bool__(self) -> bool:
        return bool(self.patterns)

    def covers(self, name: str) -> bool:
        """Whether a column or field of this name is masked."""
        return covers(self.patterns, name)

    def columns_of(
        self,
        names: Sequence[str],
        arguments: Mapping[str, Any],
        hint: str = "",
        views: Mapping[str, str] = NO_VIEWS,
    ) -> frozenset[str]:
        """The masked columns of what a call with these arguments returned."""
        if not self:
            return frozenset()

        named = _mask_named(arguments, names, self.covers)
        for sql in statements_of(arguments) or ("",):
            named |= masked_columns(sql, names, self.covers, hint, views)

        return named

    def withholds_text(
        self,
        arguments: Mapping[str, Any],
        hint: str = "",
        views: Mapping[str, str] = NO_VIEWS,
    ) -> bool:
        """Whether nothing is shown of what such a call told in words."""
        if not self:
            return False

        if any(mentions(asked, self.covers) for asked in _named_columns(arguments)):
            return True

        statements = statements_of(arguments)
        return any(tells_masked(sql, self.covers, hint, views) for sql in statements)

    def learn(self, values: Iterable[Any]) -> None:
        """Know values of a masked column, wherever they appear again."""
        self.known.learn(_texts_of(values))

    def hide(self, text: str) -> str:
        """A text that leaves: without values that were seen, and without what stands
        after a masked name.
        """
        if not self:
            return text

        patterns = self.patterns
        folded = text.casefold()
        # most texts name no masked column, and finding that out is cheap
        if any(piece in folded for piece in _letters(patterns)):
            text = _after_names(patterns).sub(_hide_after, text)

        return self.known.hide(text)

    def hide_values(self, text: str) -> str:
        """The text without values that were seen."""
        if not self:
            return text

        return self.known.hide(text)

    def hide_error(
        self, text: str, arguments: Mapping[str, Any], *, of_values: bool = False
    ) -> str:
        """An error's words: engines quote the value that they could not convert.
        `of_values`: the statement failed on a value of a table with masked columns, and
        the words may be made of it.
        """
        sql = " ".join([*statements_of(arguments), *_named_columns(arguments)])
        if not self or not sql:
            return self.hide(text)

        if of_values:
            return FAILED_ON_VALUE

        if mentions(sql, self.covers) or "*" in sql:
            text = _QUOTED.sub(lambda found: _hide_unless(found, sql), text)

        return self.hide(text)

    def hide_json(self, value: Any) -> Any:
        """JSON that leaves, with its masked fields hidden, and rows that name a masked
        column in a cell.
        """
        if isinstance(value, str):
            return self.hide(value)

        if isinstance(value, Mapping):
            is_row = any(isinstance(v, str) and self.covers(v) for v in value.values())
            return {
                name: self._hide_field(str(name), inner, is_row)
                for name, inner in value.items()
            }

        if isinstance(value, list | tuple):
            return [self.hide_json(inner) for inner in value]

        return value

    def hide_schema(self, tool: Any) -> Any:
        """The description and schema of a tool; examples of a masked argument go whole."""
        if isinstance(tool, str):
            return self.hide(tool)

        if isinstance(tool, Mapping):
            return {
                name: _without_examples(inner)
                if self.covers(str(name)) and isinstance(inner, Mapping)
                else self.hide_schema(inner)
                for name, inner in tool.items()
            }

        if isinstance(tool, list | tuple):
            return [self.hide_schema(inner) for inner in tool]

        return tool

    def _hide_field(self, name: str, value: Any, is_row: bool) -> Any:
        if self.covers(name) and value is not None:
            return MASK

        if is_row and not says_nothing(value) and not self.covers(str(value)):
            return MASK

        return self.hide_json(value)


def _without_examples(schema: Mapping[str, Any]) -> dict[str, Any]:
    shown = (
        "type",
        "format",
        "items",
        "properties",
        "required",
        "minLength",
        "maxLength",
    )
    return {name: inner for name, inner in schema.items() if name in shown}


def says_nothing(value: Any) -> bool:
    """Whether a cell beside a masked column's name can be none of its values: the name
    of a type, a yes or no, nothing.
    """
    if value is None or isinstance(value, bool):
        return True

    if not isinstance(value, str):
        return False

    return not value or _TYPE.fullmatch(value) is not None


def values_in(value: Any, covered: Callable[[str], bool]) -> Iterator[list[Any]]:
    """The values of the masked columns of a table in memory, a DataFrame of pandas or an
    Arrow table; of anything else none.
    """
    if hasattr(value, "column_names") and hasattr(value, "column"):
        for name in filter(covered, value.column_names):
            yield value.column(name).slice(0, MOST_LEARNED).to_pylist()

    if hasattr(value, "iloc") and hasattr(value, "columns"):
        for at, name in enumerate(map(str, value.columns)):
            if covered(name):
                yield value.iloc[:MOST_LEARNED, at].tolist()


@lru_cache(maxsize=4096)
def covers(patterns: tuple[str, ...], name: str) -> bool:
    """Whether one of the patterns (`email`, `*_token`, any case) is this name."""
    folded = name.casefold()
    return any(
        folded == p.casefold() or fnmatchcase(folded, p.casefold()) for p in patterns
    )


def _texts_of(values: Iterable[Any]) -> list[str]:
    found = set()
    for value in values:
        if value is None or isinstance(value, bool):
            continue

        text = str(value)
        is_number = isinstance(value, int | float) or text.isdigit()
        if len(text) >= (LEAST_DIGITS if is_number else LEAST_TEXT):
            found.add(text)
            found |= {text.lower(), text.upper()}

        if len(found) > MOST_LEARNED:
            break

    return list(found)


@lru_cache(maxsize=16)
def _after_names(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """A masked name with what a description says of it: `email TEXT: a@b|c@d`, `email =
    a@b`, `"email": "a@b"`, up to the next column or the end of the line.
    """
    # a `*` of a pattern is letters of a name, and no more than a name has
    names = "|".join(
        translate(p)[4:-3].replace(".*", r"\w{0,40}").replace(".", r"\w")
        for p in patterns
    )
    kind = r"(?:[ \t]+[A-Za-z][A-Za-z0-9_]*(?:\([0-9, ]*\))?){0,2}(?:[ \t]+key)?"
    return re.compile(
        rf"(?P<name>(?<![\w@.])(?:{names})(?!\w)(?:\\*[\"'`\]]){{0,2}}{kind})"
        r"(?P<mark>[ \t]*(?::|=|\.\.|→|->)[ \t]*)"
        # JSON inside a CSV doubles its quotes, JSON inside a text escapes them
        r"(?P<said>\"\"(?:(?!\"\")[^\n])+\"\"|(?P<slash>\\+\")(?:(?!(?P=slash))[^\n])*(?P=slash)"
        r"|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'"
        r"|(?:(?!,[ \t]*\"?\w+\"?[ \t]+(?-i:[A-Z]{3,}))[^\n}\]]){1,2000})",
        re.IGNORECASE,
    )


@lru_cache(maxsize=16)
def _letters(patterns: tuple[str, ...]) -> tuple[str, ...]:
    """The longest part of each pattern that stands in every name of it."""
    parts = (re.split(r"[*?]|\[[^\]]*\]", pattern.casefold()) for pattern in patterns)
    return tuple(max(pieces, key=len) for pieces in parts)


_OPENED = re.compile(r"""\\+"|""(?=.)|"|'""")


def _hide_after(found: re.Match[str]) -> str:
    said = found["said"]
    if said.strip().casefold() in ("", "null", "masked", MASK):
        return found[0]

    opened = _OPENED.match(said)
    if opened is not None:
        quote = opened[0]
    else:
        quote = ""

    return f"{found['name']}{found['mark']}{quote}{MASK}{quote}"


def _hide_unless(found: re.Match[str], sql: str) -> str:
    inner = next(group for group in found.groups() if group is not None)
    if inner in sql or re.fullmatch(r"[A-Z_ ]+", inner):
        return found[0]

    return found[0].replace(inner, MASK)


NO_VEIL = Veil()
