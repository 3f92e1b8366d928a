"""What a person shares: `%mcp_share`, `%mcp_unshare`, `%mcp_shared`, and the same as functions."""

from __future__ import annotations

import contextlib
import re
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from mcp_notebook.errors import ConfigError, did_you_mean
from mcp_notebook.kinds import DATA_SUFFIXES, format_of, kind_of
from mcp_notebook.notebook.state import Notebook
from mcp_notebook.secrets import seal_text
from mcp_notebook.sharing.catalog import Entry, is_paused
from mcp_notebook.untrusted_text import clip, visible

USAGE = (
    "Write %mcp_share NAME [NAME ...] [--as OTHER ...] [--about 'what it holds'] "
    "[--about-columns FILE] [--follow]."
)
_NAME = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True)
class Wanted:
    """The words of `%mcp_share`."""

    names: tuple[str, ...]
    shared_as: tuple[str, ...] = ()
    about: str = ""
    about_columns: str = ""  # the file of a data dictionary
    follow: bool = False


def parse(line: str) -> Wanted:
    """`sales customers --as revenue clients --about 'Sales of May'`; raises ConfigError."""
    words = shlex.split(line)
    parts: dict[str, list[str]] = {
        "": [], "--as": [], "--about": [], "--about-columns": []
    }  # fmt: skip
    part = ""
    follow = "--follow" in words
    for word in (word for word in words if word != "--follow"):
        if word.startswith("--"):
            if word not in parts:
                raise ConfigError(f"{word} is no option. {USAGE}")

            part = word
        else:
            parts[part].append(word)

    if not parts[""]:
        raise ConfigError(f"Name the tables to share. {USAGE}")

    if "--as" in words and len(parts["--as"]) != len(parts[""]):
        count = len(parts[""])
        raise ConfigError(
            f"Give --as one name for each table: {count} "
            f"{'is' if count == 1 else 'are'} shared here."
        )

    files = parts["--about-columns"]
    if "--about-columns" in words and len(files) != 1:
        raise ConfigError(f"--about-columns takes one file. {USAGE}")

    return Wanted(
        tuple(parts[""]),
        tuple(parts["--as"]),
        " ".join(parts["--about"]),
        "".join(files),
        follow,
    )


def share(
    notebook: Notebook,
    what: Any,
    *,
    as_: str = "",
    description: str = "",
    about_columns: str = "",
    follow: bool = False,
) -> tuple[str, str]:
    """Share a table by its variable's name, a data file by its path, or an object;
    returns its name and a note. `about_columns` is the file of a data dictionary.
    `follow`: the variable, whatever it holds later.

    Raises ConfigError for what is no table and for a name that another table has.
    """
    variable, value = _variable(notebook, what, as_)
    kind = kind_of(value)
    if kind is None:
        raise ConfigError(
            _no_table(variable if isinstance(what, str) else "The object", value)
        )

    name = as_ or (variable if variable in notebook.shell.user_ns else _stem(what))
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot be a table's name: letters, digits and _ can, "
            "beginning with a letter."
        )

    taken = notebook.catalog.find(name)
    if taken is not None and taken.variable != variable:
        raise ConfigError(
            f"{taken.name} is another table already ({taken.variable}): choose a name with --as."
        )

    meanings, notes = {}, []
    if about_columns:
        describing, _ = load_describing()
        described = describing.read_dictionary(about_columns)
        meanings, notes = describing.match_columns(described, name, _columns_of(value))

    if variable not in notebook.shell.user_ns:
        notebook.held[variable] = value

    notebook.catalog.add(
        name,
        variable=variable,
        origin="shared",
        description=seal_text(description),
        follows=follow,
        meanings=meanings,
    )
    # what is said of columns may quote values that are masked
    notebook.learn_masked()
    once = "its rows are kept here at the first query, and are then gone for your code"
    if kind == "reader":
        notes.append(f"{name} can be read once: {once}.")

    return name, "\n".join(notes)


def _columns_of(value: Any) -> list[str]:
    """The names of a table's columns as SQL has them; raises ConfigError."""
    describing, _ = load_describing()
    try:
        return describing.look(value).schema.names
    except describing.UNREADABLE as error:
        raise ConfigError(
            f"The columns cannot be read, so --about-columns says nothing of them: {error}"
        ) from None


def unshare(notebook: Notebook, names: Sequence[str]) -> None:
    """Offer these tables no longer; raises ConfigError without a name, DataError for an
    unknown one.
    """
    if not names:
        raise ConfigError(
            "Name the tables to take back: %mcp_unshare orders. %mcp_shared lists them."
        )

    for name in names:
        entry = notebook.catalog.find(name)
        notebook.catalog.remove(entry.name if entry else name)
        if entry is not None and not any(
            e.variable == entry.variable for e in notebook.catalog
        ):
            notebook.held.pop(entry.variable, None)


def rows(notebook: Notebook, *, served: bool) -> list[dict[str, Any]]:
    """A row for every table that is offered; `served`: clients outside are served now."""
    describing, masking = load_describing()
    masks = masking.Masks(tuple(notebook.settings.mask))
    found = []
    for entry in notebook.catalog.entries():
        row: dict[str, Any] = {
            "name": entry.name,
            "variable": _shown(notebook, entry.variable),
            "kind": "no table now",
        }
        row |= {
            "rows": None,
            "columns": None,
            "masked": "",
            "seen by": _seen_by(entry.origin, served),
        }
        try:
            value = notebook.catalog.resolve(entry.name)
            kind, count, names = describing.measure(value)
        except describing.UNREADABLE:
            if is_paused(entry, notebook.catalog.value_of(entry)):
                row["kind"] = "paused: another object now"
        else:
            row |= {"kind": kind, "rows": count, "columns": len(names)}
            row["masked"] = ", ".join(masks.columns(names))

        found.append(
            {
                **row,
                "last used": _ago(notebook.catalog.last_used(entry.name)),
                "about": entry.description,
                "described": _count_described(entry, row["columns"]),
            }
        )

    # what no table has is no column of the list
    empty = [n for n in ("about", "described") if not any(row[n] for row in found)]
    return [
        {name: value for name, value in row.items() if name not in empty}
        for row in found
    ]


def _count_described(entry: Entry, columns: int | None) -> str:
    if not entry.meanings:
        return ""

    return f"{len(entry.meanings)} of {columns or '?'} columns"


def load_describing() -> Any:
    """The modules `describing` and `masks` of sharing."""
    # pandas and pyarrow are behind them, which sharing itself does not need
    from mcp_notebook.sharing import describing, masks

    return describing, masks


# What the person says of a connected server's tables: nothing is asked of the server
# for it, so it holds whatever tools the server has.

_ABOUT = "Write %mcp_about SERVER.TABLE FILE, --about 'what it holds', or --forget."
MOST_OF_SERVER = 8_000  # characters: every turn pays for them


def describe_server(notebook: Notebook, line: str) -> None:
    """Take the words of `%mcp_about`; raises ConfigError."""
    words = shlex.split(line)
    if not words:
        return

    said = ""
    if "--about" in words:
        at = words.index("--about")
        words, said = words[:at], " ".join(words[at + 1 :])

    server, table = _server_and_table(notebook, next(iter(words), ""))
    told = notebook.server_words.setdefault(server, {})
    rest = words[1:]
    if rest == ["--forget"]:
        for name in [table] if table else list(told):
            told.pop(name, None)

        return

    if len(rest) > 1 or not (rest or said):
        raise ConfigError(_ABOUT)

    describing, _ = load_describing()
    if said:
        words = clip(visible(seal_text(said)), describing.MOST_WORDS)
        told.setdefault(table, {})[""] = words

    for one in describing.read_dictionary(rest[0]) if rest else ():
        told.setdefault(table or one.table, {})[one.column] = one.words


def _server_and_table(notebook: Notebook, target: str) -> tuple[str, str]:
    """`shop.public.orders` into its server and table: either may hold dots."""
    names = notebook.sessions.names()
    for server in sorted(names, key=len, reverse=True):
        if target == server or target.startswith(f"{server}."):
            return server, target[len(server) + 1 :]

    server = target.partition(".")[0]
    raise ConfigError(
        f"No server {server!r} is connected.{did_you_mean(server, names)} {_ABOUT}"
    )


def tell_server(notebook: Notebook, server: str) -> str:
    """What the system prompt says of a server's tables; empty where nothing was said."""
    told = notebook.server_words.get(server)
    if not told:
        return ""

    describing, _ = load_describing()
    lines = [f"\nWhat the person says of the tables of the server {server}:"]
    for table, columns in sorted(told.items()):
        about = columns.get("")
        lines.append(f"{table or 'all tables'}{f': {about}' if about else ''}")
        lines.append(describing.list_meanings(columns, filter(None, columns)))

    text = "\n".join(filter(None, lines)) + "\n"
    cut = "\n[cut: more is said than fits]\n"
    return text if len(text) <= MOST_OF_SERVER else text[:MOST_OF_SERVER] + cut


def server_rows(notebook: Notebook) -> list[dict[str, Any]]:
    """A row for each table of a server of which something is told."""
    return [
        {
            "server": server,
            "table": table or "all",
            "described": f"{len([c for c in columns if c])} columns",
            "about": columns.get("", ""),
            "told": "yes" if server in notebook.sessions.names() else "when connected",
        }
        for server, tables in sorted(notebook.server_words.items())
        for table, columns in sorted(tables.items())
    ]


def masked_in(notebook: Notebook, sql: str) -> tuple[str, ...]:
    """The masked columns that a statement of the person's names, so that its result may
    hold their values renamed.

    Columns that keep their name are masked in the result as they are here: `SELECT *` names none.
    """
    describing, masking = load_describing()
    masks = masking.Masks(tuple(notebook.settings.mask))
    words = {word.lower() for word in re.findall(r"\w+", sql)}
    found: dict[str, None] = {}
    for entry in notebook.catalog.entries() if masks.patterns else ():
        if words.isdisjoint(re.findall(r"\w+", entry.name.lower())):
            continue

        # A table that cannot be looked at has no columns to match; its query will say
        # so.
        with contextlib.suppress(*describing.UNREADABLE):
            names = describing.look(notebook.catalog.resolve(entry.name)).schema.names
            found |= dict.fromkeys(
                n
                for n in masks.columns(names)
                if words & {*re.findall(r"\w+", n.lower())}
            )

    return tuple(found)


def _variable(notebook: Notebook, what: Any, as_: str) -> tuple[str, Any]:
    """The variable that holds what is shared (one of ours for a file or a nameless
    object), and its value.
    """
    namespace = notebook.shell.user_ns
    if isinstance(what, str) and what in namespace:
        return what, namespace[what]

    if isinstance(what, PurePath) or (isinstance(what, str) and format_of(what)):
        return f"file {what}", _existing_file(what)

    if isinstance(what, str):
        return what, notebook.table(what)  # raises the error that lists the tables

    # A name with an underscore is IPython's own (`_`, `_3`): it soon means another value.
    named = [
        name
        for name, value in namespace.items()
        if value is what and not name.startswith("_")
    ]
    if named:
        return named[0], what

    if not as_:
        raise ConfigError(
            "No variable holds this object: give it a name with as_='name'."
        )

    return f"object {as_}", what


def _existing_file(what: str | PurePath) -> Path:
    path = Path(what).expanduser()
    # a pattern names files of which more may come
    if not path.exists() and "*" not in str(what):
        raise ConfigError(f"There is no file {what} in {Path.cwd()}: check the path.")

    return path


def _stem(what: Any) -> str:
    if isinstance(what, str | PurePath):
        stem = re.sub(r"\W+", "_", PurePath(what).name.split(".")[0]).strip("_")
    else:
        stem = ""

    if _NAME.fullmatch(stem):
        return stem

    return f"table_{stem}".rstrip("_")


def _shown(notebook: Notebook, variable: str) -> str:
    if variable in notebook.shell.user_ns:
        return variable

    return variable.partition(" ")[2]


def _seen_by(origin: str, served: bool) -> str:
    if origin != "shared":
        return "this conversation"

    if served:
        return "this conversation and clients outside"

    return "this conversation; outside after %mcp_serve"


def _ago(when: float | None) -> str:
    if when is None:
        return "not yet"

    seconds = int(time.monotonic() - when)
    minutes, hours = seconds // 60, seconds // 3600
    if hours:
        return f"{hours} h ago"

    if minutes:
        return f"{minutes} min ago"

    return f"{seconds} s ago"


def _no_table(name: str, value: object) -> str:
    if isinstance(value, str | PurePath):
        return (
            f"{name} names no data file that is read here: "
            f"{', '.join(sorted(set(DATA_SUFFIXES)))}."
        )

    return (
        f"{name} holds {type(value).__name__}, no table: share a DataFrame (pandas, "
        "Polars, Spark), an Arrow, DuckDB "
        "or Ibis table, or the path of a data file."
    )
