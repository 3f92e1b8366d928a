"""`mcp-notebook serve database --url ...`: the command line of the bundled servers."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from mcp_notebook.errors import NotebookError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the servers and their options to the parser of `mcp-notebook serve`."""
    servers = parser.add_subparsers(dest="server", required=True, metavar="SERVER")
    database = servers.add_parser(
        "database", help="a database, read-only, as an MCP server"
    )
    database.add_argument(
        "--url",
        default="",
        help=(
            "sqlite:///file.db, duckdb:///file or postgresql://user@host/db (default: "
            "$DATABASE_URL)"
        ),
    )
    database.add_argument(
        "--table",
        action="append",
        help="serve only this table or view; repeat for more",
    )
    database.add_argument(
        "--max-rows",
        type=int,
        default=0,
        help=(
            "rows of an answer at most (default 10000, and 1000000 for a notebook on "
            "this machine, which takes them as a file)"
        ),
    )
    database.add_argument(
        "--timeout",
        type=float,
        default=15.0,
        help="seconds a statement may take (default 15)",
    )
    add_transport(database)
    database.set_defaults(serve=_database)
    fetch = servers.add_parser(
        "fetch", help="fetch_url for public web pages as an MCP server"
    )
    fetch.add_argument(
        "--domain",
        action="append",
        default=[],
        help="only this domain and those below; repeat for more",
    )
    fetch.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="ADDRESS:PORT",
        help="open an address that is not public",
    )
    add_transport(fetch)
    fetch.set_defaults(serve=_fetch)
    notebook = servers.add_parser(
        "notebook",
        help="a running notebook's shared tables, for clients that speak stdio",
    )
    notebook.add_argument(
        "--kernel",
        default="",
        metavar="NAME",
        help="the notebook's name or path (default: the only one that serves)",
    )
    notebook.add_argument(
        "--connection",
        type=Path,
        metavar="FILE",
        help="the file that %%mcp_serve names, instead",
    )
    notebook.set_defaults(serve=_notebook)


def add_transport(parser: argparse.ArgumentParser) -> None:
    """Add `--transport`, `--host`, `--port` and `--token-env`."""
    parser.add_argument(
        "--transport",
        choices=["stdio", "http", "sse"],
        default="stdio",
        help="default: stdio",
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)"
    )
    parser.add_argument(
        "--port", type=int, default=0, help="port to listen on (default: a free one)"
    )
    parser.add_argument(
        "--token-env",
        default="",
        metavar="NAME",
        help="environment variable that holds the token",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until the client leaves or an interrupt comes; returns the process's exit code."""
    try:
        asyncio.run(args.serve(args))
    except NotebookError as error:
        # this is the command line: there is no notebook to show it in
        print(f"mcp-notebook serve: {error.message}", file=sys.stderr)  # noqa: T201
        return 2
    except KeyboardInterrupt:
        return 130

    return 0


async def _database(args: argparse.Namespace) -> None:
    # This import costs over a second, and `mcp-notebook --help` must not pay it.
    from mcp_notebook.sharing.database import serve_database

    await serve_database(
        args.url,
        transport=args.transport,
        host=args.host,
        port=args.port,
        token_env=args.token_env,
        max_rows=args.max_rows,
        timeout=args.timeout,
        tables=args.table,
    )


async def _fetch(args: argparse.Namespace) -> None:
    from mcp_notebook.sharing.fetch import serve_fetch  # as above

    await serve_fetch(
        transport=args.transport,
        host=args.host,
        port=args.port,
        token_env=args.token_env,
        domains=args.domain,
        allowed=args.allow,
    )


async def _notebook(args: argparse.Namespace) -> None:
    from mcp_notebook.sharing import http_server  # as above

    connection = args.connection
    if not connection:
        folder = http_server.connection_folder()
        connection = http_server.find_connection(folder, args.kernel)

    await http_server.serve_bridge(connection)


def main(argv: Sequence[str] | None = None) -> int:
    """Run as `python -m mcp_notebook.sharing.commands database --url ...`."""
    parser = argparse.ArgumentParser(prog="mcp-notebook serve")
    add_arguments(parser)
    args = parser.parse_args(argv)
    return run(args)


if __name__ == "__main__":
    sys.exit(main())
