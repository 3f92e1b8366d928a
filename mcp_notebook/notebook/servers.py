"""A connected server as a Python object: a method for each of its tools."""

from __future__ import annotations

import csv
import dataclasses
import datetime
import difflib
import enum
import inspect
import io
import json
import keyword
import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal

from mcp_notebook.errors import ConfigError, SessionError
from mcp_notebook.kinds import IN_MEMORY, is_table, kind_of
from mcp_notebook.naming import is_free_word
from mcp_notebook.policy import only_reads
from mcp_notebook.untrusted_text import visible

if TYPE_CHECKING:
    from mcp_notebook.sessions import Session, ToolInfo

# (server, tool, arguments) -> what the call gave
Do = Callable[[str, str, Mapping[str, Any]], Any]
_TYPES = {
    "string": str,
    "integer": int,
    "number": float,
    "boolean": bool,
    "array": list,
    "object": dict,
}
# Of those there are only some where a notebook is.
LISTED = ("resources", "prompts")
_EMPTY = inspect.Parameter.empty


class Offer:
    """What a server has beside its tools, of one kind. `len` and a loop give its rows,
    `shop.resources["data://x"]` and a call read one.
    """

    def __init__(
        self,
        kind: str,
        rows: Callable[[], list[dict[str, Any]]],
        key: str,
        read: Callable[..., Any],
    ) -> None:
        self._kind, self._rows, self._key, self._read = kind, rows, key, read
        self.__doc__ = inspect.getdoc(read)

    def __call__(self, name: str, **arguments: Any) -> Any:
        return self._read(name, **arguments)

    def __getitem__(self, name: str) -> Any:
        return self._read(name)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self._rows())

    def __len__(self) -> int:
        return len(self._rows())

    def _ipython_key_completions_(self) -> list[str]:
        return [str(row[self._key]) for row in self._rows()]

    def __repr__(self) -> str:
        rows = self._rows()
        lines = [
            f"  {row[self._key]}  {row.get('description', '')}".rstrip() for row in rows
        ]
        return "\n".join([f"<{len(lines)} {self._kind}>", *map(visible, lines)])


class Server:
    """The tools of a server as methods: `shop.query_database(sql="select 1")` gives a
    DataFrame, or a text.

    Arguments are named as the tool names them; a dict in the first place takes names
    that Python cannot write. `shop["odd-name"]` finds a tool by its own name, `await
    shop.aio.query_database(...)` is for code that awaits, and `shop.query_database?`
    shows the tool's own words. Where no tool is called so, there are also `name`,
    `tools` (names), `call(tool, arguments)`, `close()`, and `resources` and `prompts`:
    rows of what the server lists, and calls that read one, `shop.resources(uri)` and
    `shop.prompts(name, **arguments)`.
    """

    def __init__(
        self,
        name: str,
        session: Callable[[], Session],
        do: Do,
        do_async: Do | None = None,
        close: Callable[[], None] = lambda: None,
        offers: Mapping[str, Offer] | None = None,
    ) -> None:
        self._name, self._session, self._do, self._do_async, self._close = (
            name,
            session,
            do,
            do_async,
            close,
        )
        self._offers = offers or {}

    @property
    def aio(self) -> Server:
        """The same methods as coroutines."""
        return Server(
            self._name,
            self._session,
            self._do_async or self._do,
            offers=self._offers,
        )

    def __getitem__(self, tool: str) -> Method:
        tools = {info.name: info for info in self._session().tools}
        if tool not in tools:
            raise ConfigError(_unknown(self._name, tool, tools))
        return Method(
            tools[tool], lambda arguments: self._do(self._name, tool, arguments)
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # questions of copy, pickle and frontends
            raise AttributeError(name)

        try:
            tools = _by_attribute(self._session())
        except SessionError as error:
            raise Gone(error.message) from None

        is_own = name in _OWN and (name not in LISTED or name in self._offers)
        if name not in tools and is_own:
            return _OWN[name](self)
        if name not in tools:
            raise NoTool(_unknown(self._name, name, tools))

        return self[tools[name]]

    def __dir__(self) -> list[str]:
        own = [name for name in _OWN if name not in LISTED or name in self._offers]
        return sorted({*_by_attribute(self._session()), *own, "aio"})

    def __iter__(self) -> Iterator[str]:
        return iter([tool.name for tool in self._session().tools])

    def _ipython_key_completions_(self) -> list[str]:
        return list(self)

    def __repr__(self) -> str:
        lines = [f"{m.__name__}{m.__signature__}" for m in map(self.__getitem__, self)]
        return "\n".join(
            [
                f"<server {self._name}: {len(lines)} tools>",
                *(f"  .{line}" for line in lines),
            ]
        )


def _call(server: Server) -> Callable[..., Any]:
    return lambda tool, arguments=None: server[tool](dict(arguments or {}))


# What a server's object offers besides its tools; a tool of the same name goes first.
_OWN: dict[str, Callable[[Server], Any]] = {
    "name": lambda server: server._name,
    "tools": tuple,
    "call": _call,
    "close": lambda server: server._close,
    "resources": lambda server: server._offers["resources"],
    "prompts": lambda server: server._offers["prompts"],
}


class Gone(SessionError, AttributeError):
    """The server is not connected any more; to a question such as `hasattr` that is a no."""


class NoTool(ConfigError, AttributeError):
    """The server has no tool of that name; for a person one sentence, for `hasattr` a no."""


class Method:
    """One tool, callable; its signature and docstring are made of the tool's own description."""

    def __init__(self, tool: ToolInfo, do: Callable[[Mapping[str, Any]], Any]) -> None:
        self._tool, self._do = tool, do
        self.__name__ = self.__qualname__ = tool.name
        self.__doc__ = docstring(tool)
        self.__signature__ = signature(tool)

    def __call__(self, *given: Any, **named: Any) -> Any:
        return self._do(arguments_of(self._tool, given, named))

    def __repr__(self) -> str:
        return f"<tool {self._tool.server}.{self._tool.name}{self.__signature__}>"


def arguments_of(
    tool: ToolInfo, given: tuple[Any, ...], named: Mapping[str, Any]
) -> dict[str, Any]:
    """The arguments to send, as JSON's values; ConfigError in one sentence for those
    that cannot be right.
    """
    sent = _by_name(tool, given, named)
    _check_names(tool, sent)
    return {name: _sendable_value(value, name) for name, value in sent.items()}


def _by_name(
    tool: ToolInfo, given: tuple[Any, ...], named: Mapping[str, Any]
) -> dict[str, Any]:
    """The arguments by their names: a mapping that comes first holds arguments, unless
    it can only be the one that the tool has.
    """
    properties = _properties(tool)
    sent: dict[str, Any] = {}
    if given and isinstance(given[0], Mapping):
        is_alone = len(properties) == 1 and not set(given[0]) <= set(properties)
        if not is_alone:
            sent, given = {str(k): v for k, v in given[0].items()}, given[1:]

    places = [p.name for p in signature(tool).parameters.values()]
    if len(given) > len(places):
        raise ConfigError(
            f"{tool.name} takes {len(places)} arguments, and {len(given)} were "
            f"given: {_usage(tool)}."
        )

    for name, value in [*zip(places, given, strict=False), *named.items()]:
        if name in sent:
            raise ConfigError(f"{tool.name} was given {name!r} twice.")

        sent[name] = value

    return sent


def _check_names(tool: ToolInfo, sent: Mapping[str, Any]) -> None:
    properties = _properties(tool)
    unknown = [name for name in sent if name not in properties]
    # a schema without properties says nothing of what the tool takes
    if unknown and properties and not tool.input_schema.get("additionalProperties"):
        near = difflib.get_close_matches(unknown[0], properties, n=1)
        guess = f" Did you mean {near[0]!r}?" if near else ""
        raise ConfigError(
            f"{tool.name} has no argument {unknown[0]!r}.{guess} It is called {_usage(tool)}."
        )

    missing = [name for name in _required_names(tool) if name not in sent]
    if missing:
        raise ConfigError(f"{tool.name} needs {', '.join(missing)}: {_usage(tool)}.")


def _sendable_value(value: Any, name: str) -> Any:
    # A table stays one: `sent_and_told` writes it as the tool's schema wants it. A text
    # that names a data file counts as a table elsewhere, here it is a text.
    if is_table(value) and not isinstance(value, str):
        return value
    return plain(value, name)


def plain(value: Any, name: str) -> Any:
    """A Python value as JSON has it: numpy's and pandas' numbers, missing values,
    decimals, dates, paths, sets; ConfigError for what JSON cannot carry.
    """
    if _is_missing(value):
        return None
    if isinstance(value, enum.Enum):
        return plain(value.value, name)
    if isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Decimal):
        return _plain_decimal(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain(dataclasses.asdict(value), name)
    if isinstance(value, Mapping):
        return {str(k): plain(v, name) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v, name) for v in value]

    return _plain_object(value, name)


def _is_missing(value: Any) -> bool:
    """Whether JSON has only null for it: pandas' missing values, known by their names so
    that pandas need not load, and NaN, which is unlike itself.
    """
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float) and value != value


def _plain_object(value: Any, name: str) -> Any:
    """A value of a class that JSON does not know, as the text or list that stands for it."""
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if type(value).__name__ in _WRITTEN or isinstance(value, PurePath):
        return str(value)
    if is_table(value):
        raise ConfigError(
            f"{name} holds a table inside: give the table as the argument itself, or "
            "query it with mcp_notebook.sql."
        )
    as_python = getattr(value, "tolist", None)
    if as_python is not None:  # numpy's and pandas' arrays and numbers
        return plain(as_python(), name)

    raise ConfigError(
        f"{name} is a {type(value).__name__}, which JSON cannot carry; give a text, "
        "number, list or dict."
    )


# Values with one text that everybody writes; numpy's own before its numbers
_WRITTEN = ("UUID", "datetime64", "timedelta64", "timedelta", "Timedelta", "Period")


def _plain_decimal(value: Decimal) -> Any:
    """A number where none of its digits is lost as one, else its text."""
    if not value.is_finite():
        if value.is_nan():
            return None
        return str(value)

    if value == value.to_integral_value():
        return int(value)

    near = float(value)
    if Decimal(repr(near)) == value:
        return near
    return str(value)


# ---- tables as arguments

# what a text that may be a table is called, or said to be
_TABLE_WORDS = re.compile(
    r"csv|tsv|json|table|records|rows|data(?!base)|\bdf\b|frame", re.IGNORECASE
)

MOST_BYTES = 10_000_000  # of one table as JSON; servers take few messages larger


class _Records(list[Any]):
    """A table as a list; `code`: the variable that holds it, "" for none."""

    code = ""


class _Columns(dict[str, Any]):
    """A table as an object, in the same way."""

    code = ""


class _Text(str):
    """A table as a text, in the same way."""

    code = ""


def sent_and_told(
    tool: ToolInfo, given: Mapping[str, Any], variables: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arguments of a call as JSON, and as they are told: of a table its name and shape.

    `variables`: those of the person, for the names of tables. Raises ConfigError for what
    cannot be sent.
    """
    properties = _properties(tool)
    sent: dict[str, Any] = {}
    told: dict[str, Any] = {}
    for name, value in given.items():
        if kind_of(value) not in IN_MEMORY:
            sent[name] = told[name] = plain(value, name)
            continue

        code = next((n for n, held in variables.items() if held is value), "")
        if code.startswith("_"):
            code = ""

        sent[name], shape = _table_argument(value, name, properties.get(name, {}))
        sent[name].code = code
        told[name] = f"<{code or 'table'}: {shape}>"

    return sent, told


def _table_argument(
    value: Any, name: str, schema: Mapping[str, Any]
) -> tuple[Any, str]:
    """A table in the form that the argument's schema takes, and its shape in words."""
    # loads pandas and pyarrow, which whoever has a table has
    from mcp_notebook.sharing.arrow import python_columns

    found = python_columns(value)
    width, rows = len(found), len(next(iter(found.values()), ()))
    shape = f"{rows:,} row{'s' * (rows != 1)} × {width} column{'s' * (width != 1)}"
    columns = {column: plain(values, name) for column, values in found.items()}
    made = _in_form(columns, name, schema)
    size = len(made if isinstance(made, str) else json.dumps(made, ensure_ascii=False))
    if size > MOST_BYTES:
        raise ConfigError(
            f"{name} has {shape} ({size / 1e6:,.1f} MB), and a tool is sent at most "
            f"{MOST_BYTES / 1e6:g} MB: select fewer rows or columns, or aggregate first."
        )

    return made, shape


def _in_form(
    columns: Mapping[str, list[Any]], name: str, schema: Mapping[str, Any]
) -> _Records | _Columns | _Text:
    names, rows = list(columns), list(zip(*columns.values(), strict=True))
    form = _table_form(schema)
    word = _type_word(form)
    if word == "object":
        return _as_object(columns, names, rows, form)
    if word == "string" and _TABLE_WORDS.search(
        f"{name} {form.get('description', '')}"
    ):
        return _as_text(names, rows, form)
    if word not in ("array", "any"):
        raise ConfigError(
            f"{name} is a table, and the tool takes a {word} there: give a value of it, "
            "or query it with mcp_notebook.sql."
        )

    items = form.get("items")
    if isinstance(items, Mapping):
        item = _type_word(items)
    else:
        item = "any"

    if item == "array":
        return _Records([list(row) for row in rows])
    if item in ("object", "any"):
        return _Records([dict(zip(names, row, strict=True)) for row in rows])
    if len(names) == 1:
        return _Records(columns[names[0]])

    raise ConfigError(
        f"{name} takes a list of one kind ({item}), and the table has {len(names)} "
        f"columns: give one of them, as df[{names[0]!r}]."
    )


def _table_form(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of several forms of an argument the one that holds a table best."""
    forms = [
        {**schema, **form}
        for key in ("anyOf", "oneOf")
        for form in schema.get(key) or ()
        if isinstance(form, Mapping)
    ]
    for wanted in ("array", "object", "string"):
        for form in forms:
            if form.get("type") == wanted:
                return form

    return schema


def _as_object(
    columns: Mapping[str, list[Any]],
    names: list[str],
    rows: list[tuple[Any, ...]],
    form: Mapping[str, Any],
) -> _Columns:
    properties = form.get("properties")
    if isinstance(properties, Mapping):
        known = properties
    else:
        known = {}

    for key in ("data", "rows", "values"):
        # the form of pandas' "split"
        if "columns" in known and key in known:
            return _Columns({"columns": names, key: list(map(list, rows))})
    return _Columns(columns)


def _as_text(
    names: list[str], rows: list[tuple[Any, ...]], form: Mapping[str, Any]
) -> _Text:
    if "json" in str(form.get("description", "")).lower():
        records = [dict(zip(names, row, strict=True)) for row in rows]
        return _Text(json.dumps(records, ensure_ascii=False))

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(map(_csv_cells, rows))
    return _Text(text.getvalue())


def _csv_cells(row: tuple[Any, ...]) -> list[Any]:
    return [
        json.dumps(value, ensure_ascii=False)
        if isinstance(value, bool | list | dict)
        else value
        for value in row
    ]


def signature(tool: ToolInfo) -> inspect.Signature:
    """The arguments that Python can write by name, required ones first, with types,
    choices and defaults.
    """
    properties, required = _properties(tool), _required_names(tool)
    writable = [name for name in properties if is_free_word(name)]
    ordered = sorted(writable, key=lambda name: name not in required)
    return inspect.Signature(
        [_parameter(n, properties[n], n in required) for n in ordered]
    )


def docstring(tool: ToolInfo) -> str:
    """The tool's description, a line an argument, and what it says of itself."""
    required = _required_names(tool)
    lines = [
        tool.description.strip()
        or tool.title
        or f"The tool {tool.name} of {tool.server}."
    ]
    described = [
        _argument_line(name, schema, name in required)
        for name, schema in _properties(tool).items()
    ]
    if described:
        lines += ["", "Arguments", "---------", *described]

    if only_reads(tool.annotations):
        claim = "It says that it only reads."
    else:
        claim = "It does not say that it only reads."

    return "\n".join(
        [*lines, "", f"The words are those of the server {tool.server!r}. {claim}"]
    )


def _argument_line(name: str, schema: Mapping[str, Any], required: bool) -> str:
    told = _type_word(schema) + ("" if required else ", optional")
    if "default" in schema:
        told += f", default {schema['default']!r}"

    choices = _choices(schema)
    if choices:
        told += f", one of {', '.join(map(repr, choices))}"

    limits = [
        f"{word} {schema[key]}"
        for key, word in (("minimum", "at least"), ("maximum", "at most"))
        if key in schema
    ]
    if limits:
        told += f", {' and '.join(limits)}"

    about = " ".join(str(schema.get("description", "")).split())
    return f"{name} : {told}" + (f"\n    {about}" if about else "")


def _parameter(
    name: str, schema: Mapping[str, Any], required: bool
) -> inspect.Parameter:
    if required:
        default = _EMPTY
    else:
        default = schema.get("default")

    return inspect.Parameter(
        name,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        default=default,
        annotation=_annotation(schema),
    )


def _annotation(schema: Mapping[str, Any]) -> Any:
    choices = _choices(schema)
    if choices:
        return Literal[tuple(choices)]  # pyright: ignore[reportInvalidTypeForm]
    return _TYPES.get(_type_word(schema), _EMPTY)


def _choices(schema: Mapping[str, Any]) -> list[Any]:
    """The values that are allowed, where the schema lists them: here, in a list's
    items, or in one of several forms.
    """
    if isinstance(schema.get("enum"), list):
        return [
            value
            for value in schema["enum"]
            if value is None or isinstance(value, str | int | bool | float)
        ]
    if "const" in schema:
        return [schema["const"]]

    forms = [
        form
        for key in ("anyOf", "oneOf")
        for form in schema.get(key) or ()
        if isinstance(form, Mapping)
    ]
    return [value for form in forms for value in _choices(form)]


def _type_word(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((k for k in kind if k != "null"), None)

    if isinstance(kind, str):
        return kind

    forms = [
        form
        for key in ("anyOf", "oneOf")
        for form in schema.get(key) or ()
        if isinstance(form, Mapping)
    ]
    words = [
        word for form in forms if (word := _type_word(form)) not in ("null", "any")
    ]
    if len(set(words)) == 1:
        return words[0]

    return "any"


def _properties(tool: ToolInfo) -> dict[str, Mapping[str, Any]]:
    found = tool.input_schema.get("properties")
    if isinstance(found, Mapping):
        pairs = found.items()
    else:
        pairs = ()

    return {
        str(name): schema if isinstance(schema, Mapping) else {}
        for name, schema in pairs
    }


def _required_names(tool: ToolInfo) -> list[str]:
    found = tool.input_schema.get("required")
    if isinstance(found, list):
        return [str(name) for name in found]
    return []


def _by_attribute(session: Session) -> dict[str, str]:
    """The tools by a name that Python can write: their own, or with _ for what it cannot."""
    names: dict[str, str] = {
        tool.name: tool.name for tool in session.tools if is_free_word(tool.name)
    }

    for tool in session.tools:
        name = re.sub(r"\W", "_", tool.name)
        if keyword.iskeyword(name):
            name = f"{name}_"
        else:
            if name[:1].isdigit():
                name = f"t_{name}"
            else:
                name = name

        names.setdefault(name, tool.name)

    return {
        name: tool
        for name, tool in names.items()
        if not name.startswith("_") and name != "aio"
    }


def _usage(tool: ToolInfo) -> str:
    return f"{tool.name}{signature(tool)}"


def _unknown(server: str, name: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    if near:
        guess = f" Did you mean {near[0]!r}?"
    else:
        guess = ""
    return (
        f"{server} has no tool {name!r}.{guess} Its tools: "
        f"{', '.join(list(known)[:40]) or 'none'}."
    )
