"""Servers by other people that need no service and no native build: how each is
started, called, and what it says.
"""

import dataclasses
import sqlite3
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcp_notebook.config import ConnectOptions, ServerSpec, build_server
from tests.others import installed


@dataclass(frozen=True)
class Other:
    """One server: its command, the call, and a piece of text that the answer holds."""

    name: str
    command: list[str]
    tool: str
    arguments: Mapping[str, Any]
    says: str
    fails: bool = False  # the answer is a refusal
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None  # for a server that writes where it starts

    def spec(self) -> ServerSpec:
        """What to connect."""
        return dataclasses.replace(
            build_server(ConnectOptions(words=tuple(self.command))),
            env=dict(self.env),
            cwd=self.cwd,
        )


def prepare(home: Path) -> None:
    """A database, a file and a repository for the servers to look at."""
    with sqlite3.connect(home / "a.db") as database:
        database.execute("create table orders (id integer, name text)")
        database.execute("insert into orders values (1, 'it''s'), (2, null)")
    (home / "note.txt").write_text("a note to read")
    subprocess.run(["git", "init", "-q", str(home / "repo")], check=True)


def others(home: Path) -> list[Other]:
    """All of them, on what `prepare` made."""
    sql = {"query": "select * from orders order by id"}
    thought = {
        "thought": "one",
        "nextThoughtNeeded": False,
        "thoughtNumber": 1,
        "totalThoughts": 1,
    }
    database, repository, pypi, npm = (
        str(home / "a.db"),
        str(home / "repo"),
        installed.pypi,
        installed.npm,
    )
    return [
        Other(
            "sqlite",
            [*pypi("mcp-server-sqlite"), "--db-path", database],
            "read_query",
            sql,
            "it's",
        ),
        Other(
            "sqlite2",
            pypi("sqlite-mcp-server"),
            "execute_query",
            {**sql, "db_path": database},
            "it's",
            cwd=str(home),
        ),
        Other(
            "alchemy",
            pypi("mcp-alchemy"),
            "execute_query",
            sql,
            "it's",
            env={"DB_URL": f"sqlite:///{database}"},
        ),
        Other(
            "duckdb",
            [*pypi("mcp-server-duckdb"), "--db-path", str(home / "a.duckdb")],
            "query",
            {"query": "select 6 * 7 as n"},
            "42",
        ),
        Other(
            "time",
            pypi("mcp-server-time"),
            "get_current_time",
            {"timezone": "Europe/Helsinki"},
            "Europe/Helsinki",
        ),
        Other(
            "calculator",
            pypi("mcp-server-calculator"),
            "calculate",
            {"expression": "6*7"},
            "42",
        ),
        Other(
            "git",
            pypi("mcp-server-git"),
            "git_status",
            {"repo_path": repository},
            "No commits yet",
        ),
        Other(
            "fetch",
            pypi("mcp-server-fetch"),
            "fetch",
            {"url": "http://127.0.0.1:9/"},
            "127.0.0.1",
            fails=True,
        ),
        Other("everything", npm("everything"), "echo", {"message": "hello"}, "hello"),
        Other(
            "memory",
            npm("memory"),
            "read_graph",
            {},
            "entities",
            env={"MEMORY_FILE_PATH": str(home / "m.json")},
        ),
        Other(
            "filesystem",
            [*npm("filesystem"), str(home)],
            "read_text_file",
            {"path": str(home / "note.txt")},
            "a note to read",
        ),
        Other(
            "thinking",
            npm("sequential-thinking"),
            "sequentialthinking",
            thought,
            "thoughtNumber",
        ),
        Other("git2", npm("git"), "git_status", {"path": repository}, "isClean"),
    ]
