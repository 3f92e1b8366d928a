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

from mcp_notebook.errors import ConfigError
from mcp_notebook.kinds import DATA_SUFFIXES, format_of, kind_of
from mcp_notebook.notebook.state import Notebook
from mcp_notebook.sharing.catalog import is_paused

USAGE = (
    "Write %mcp_share NAME [NAME ...] [--as OTHER ...] [--about 'what it holds'] "
    "[--follow]."
)
_NAME = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True)
class Wanted:
    """The words of `%mcp_share`."""

    names: tuple[str, ...]
    shared_as: tuple[str, ...] = ()
    about: str = ""
    follow: bool = False


def parse(line: str) -> Wanted:
    """`sales customers --as revenue clients --about 'Sales of May'`; raises ConfigError."""
    words, parts = shlex.split(line), {"": [], "--as": [], "--about": []}
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

    about = " ".join(parts["--about"])
    return Wanted(tuple(parts[""]), tuple(parts["--as"]), about, follow)


def share(
    notebook: Notebook,
    what: Any,
    *,
    as_: str = "",
    description: str = "",
    follow: bool = False,
) -> tuple[str, str]:
    """Share a table by its variable's name, a data file by its path, or an object;
    returns its name and a note. `follow`: the variable, whatever it holds later.

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

    if variable not in notebook.shell.user_ns:
        notebook.held[variable] = value

    notebook.catalog.add(
        name,
        variable=variable,
        origin="shared",
        description=description,
        follows=follow,
    )
    once = "its rows are kept here at the first query, and are then gone for your code"
    return name, f"{name} can be read once: {once}." if kind == "reader" else ""


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
    describing, masking = _load_describing()
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
            seen = describing.look(value)
        except describing.UNREADABLE:
            if is_paused(entry, notebook.catalog.value_of(entry)):
                row["kind"] = "paused: another object now"
        else:
            row |= {
                "kind": seen.what or type(value).__name__,
                "rows": seen.rows,
                "columns": len(seen.schema),
            }
            row["masked"] = ", ".join(masks.columns(seen.schema.names))

        found.append(
            {
                **row,
                "last used": _ago(notebook.catalog.last_used(entry.name)),
                "about": entry.description,
            }
        )

    if not any(row["about"] for row in found):
        found = [
            {name: value for name, value in row.items() if name != "about"}
            for row in found
        ]

    return found


def _load_describing() -> Any:
    # pandas and pyarrow are behind them, which sharing itself does not need
    from mcp_notebook.sharing import describing, masks

    return describing, masks


def masked_in(notebook: Notebook, sql: str) -> tuple[str, ...]:
    """The masked columns that a statement of the person's names, so that its result may
    hold their values renamed.

    Columns that keep their name are masked in the result as they are here: `SELECT *` names none.
    """
    describing, masking = _load_describing()
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
