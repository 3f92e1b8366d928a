"""`mcp-notebook connect | tools | call | sql`: one server, asked once from a terminal or a
pipeline. What comes is the table that a notebook would get.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp_notebook.errors import ConfigError
from mcp_notebook.notebook import by_hand, current
from mcp_notebook.notebook.functions import connect as connect_server
from mcp_notebook.untrusted_text import visible, visible_json

if TYPE_CHECKING:
    import pandas as pd

DATABASES = ("sqlite://", "duckdb://", "postgresql://", "postgres://")
FILES_OF_DATABASES = {
    ".db": "sqlite",
    ".sqlite": "sqlite",
    ".sqlite3": "sqlite",
    ".duckdb": "duckdb",
    ".ddb": "duckdb",
}
# The server's name when it has none from a configuration
UNNAMED = "server"
SUFFIXES = (".csv", ".json", ".parquet")


def list_tools(args: argparse.Namespace) -> int:
    """Print the server's tools, one a line, or their schemas as JSON."""
    name = connect(args.server)
    tools = current.notebook().sessions.get(name).tools
    words = [word.casefold() for word in args.words]
    found = []
    for tool in tools:
        said = f"{tool.name} {tool.description or ''}".casefold()
        if all(word in said for word in words):
            found.append(tool)

    if args.json:
        schemas = [
            {
                "name": tool.name,
                "description": tool.description,
                "inputSchema": tool.input_schema,
            }
            for tool in found
        ]
        print(visible_json(json.dumps(schemas, ensure_ascii=False, indent=2)))
        return 0

    for tool in found:
        first_line = (tool.description or "").strip().partition("\n")[0]
        print(visible(f"{tool.name}  {first_line}".rstrip()))

    return 0


def try_connect(args: argparse.Namespace) -> int:
    """Connect a server and print what it is; that it cannot be connected is raised."""
    session = current.notebook().sessions.get(connect(args.server))
    found = {
        "server": session.server_title,
        "protocol": session.era,
        "transport": session.transport,
        "tools": [tool.name for tool in session.tools],
        "notes": list(session.notices),
    }
    if args.json:
        print(visible_json(json.dumps(found, ensure_ascii=False, indent=2)))
        return 0

    count = len(session.tools)
    print(
        visible(
            f"connected: {session.server_title or args.server} · {session.transport}, "
            f"protocol {session.era} · {count} tool{'s' * (count != 1)}"
        )
    )
    for note in session.notices:
        print(visible(f"note: {note}"), file=sys.stderr)

    return 0


def call_tool(args: argparse.Namespace) -> int:
    """Call one tool and print what it gave."""
    check_output(args)
    given = args.arguments
    if len(given) == 1 and given[0].lstrip().startswith("{"):
        arguments = by_hand.parse_arguments(given[0])
    else:
        # The shell has divided the words already: one with blanks stays one.
        arguments = by_hand.parse_words(given)

    name = connect(args.server)
    state = current.notebook()
    work = by_hand.call(state, name, args.tool, arguments, timeout=args.timeout)
    give_out(args, *current.run(state, work))
    return 0


def query(args: argparse.Namespace) -> int:
    """Run one statement through the server's own query tool and print the table."""
    check_output(args)
    text = sys.stdin.read() if args.sql == "-" else args.sql
    name = connect(args.server)
    state = current.notebook()
    work = by_hand.sql(state, name, text, tool=args.tool, timeout=args.timeout)
    give_out(args, *current.run(state, work))
    return 0


def connect(server: str) -> str:
    """Connect what the person named; returns the session's name."""
    target = target_of(server)
    if target is None:
        connect_server(server)
        return server

    connect_server(UNNAMED, target)
    return UNNAMED


def target_of(server: str) -> str | list[str] | None:
    """What to connect to; None for a name that a configuration must hold."""
    suffix = Path(server).suffix.casefold()
    if server.startswith(DATABASES):
        return _serve_database(server)
    if "://" in server:
        return server
    if suffix in FILES_OF_DATABASES and " " not in server:
        if not Path(server).exists():
            raise ConfigError(f"There is no file {server}.")
        return _serve_database(f"{FILES_OF_DATABASES[suffix]}:///{server}")
    if " " in server.strip() or "/" in server:
        return server

    return None


def _serve_database(url: str) -> list[str]:
    command = ["-m", "mcp_notebook", "serve", "database", "--url", url]
    return [sys.executable, *command]


def check_output(args: argparse.Namespace) -> None:
    """Refuse a file that cannot be written before anything runs."""
    if args.output is not None and args.output.suffix not in SUFFIXES:
        raise ConfigError(
            f"-o writes {', '.join(SUFFIXES)} files, not {args.output.name!r}."
        )


def give_out(args: argparse.Namespace, result: Any, table: Any) -> None:
    """Print or write what a call gave; notes go to stderr, where a pipe leaves them."""
    if table is None or isinstance(table, by_hand.Result):
        _give_out_text(args, by_hand.text_of(result))
        return

    if args.output is not None:
        write_table(table, args.output)
        print(f"{_shape(table)} written to {args.output}", file=sys.stderr)
    elif args.csv:
        text = table.to_csv(index=False)
        # a pipe or a file gets the values as they are
        is_shown = sys.stdout.isatty()
        print(visible(text, lines=True) if is_shown else text, end="")
    elif args.json:
        print(visible_json(_json_of(table)))
    else:
        print(visible(table.to_string(index=False), lines=True))
        print(_shape(table), file=sys.stderr)

    for note in _notes_of(table):
        print(visible(f"note: {note}", lines=True), file=sys.stderr)


def _give_out_text(args: argparse.Namespace, text: str) -> None:
    if args.output is not None or args.csv:
        raise ConfigError(f"The tool gave no table but text: {text.strip()[:200]}")

    if args.json:
        print(visible_json(json.dumps(text, ensure_ascii=False)))
    else:
        print(visible(text, lines=True))


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as its file's ending says."""
    if path.suffix == ".parquet":
        table.to_parquet(path, index=False)
    elif path.suffix == ".json":
        path.write_text(_json_of(table) + "\n", encoding="utf-8")
    else:
        table.to_csv(path, index=False)


def _json_of(table: pd.DataFrame) -> str:
    kinds = table.attrs.get("mcp", {}).get("column_types", {})
    for name in table.columns:
        if kinds.get(name, "").startswith("date") and table[name].dtype.kind == "M":
            # pandas would write a day as its midnight.
            table = table.assign(**{name: table[name].dt.strftime("%Y-%m-%d")})

    text = table.to_json(
        orient="records", date_format="iso", force_ascii=False, default_handler=str
    )
    return str(text)


def _shape(table: pd.DataFrame) -> str:
    rows, columns = table.shape
    return f"{rows:,} rows x {columns} columns"


def _notes_of(table: pd.DataFrame) -> list[str]:
    told = table.attrs.get("mcp", {})
    cut = told.get("truncated")
    return [*told.get("notes", ()), *([cut] if cut else [])]
