"""A private PostgreSQL server for the tests: made in a temporary folder, reached by a
socket in it, gone afterwards.
"""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

SETUP = """
    create table t (a int primary key, b text);
    insert into t values (1, 'x'), (2, 'y');
    create table typed (id bigint references t(a), price numeric(10,2), day date, at timestamptz, ok bool, doc jsonb);
    insert into typed values (1, 12.50, '2026-05-01', '2026-05-01 10:00+00', true, '{"k": [1]}');
    create schema other;
    create view other.v as select a from t;
    create materialized view mv as select * from t;
    create sequence sq;
    create procedure cproc() language plpgsql as $$ begin insert into t values (99, 'c'); commit; end $$;
    create role ro login;
    create role writer login in role pg_write_server_files;
    grant usage on schema other to ro;
    grant select, insert, update, delete, truncate on all tables in schema public, other to ro;
    grant usage, update on sequence sq to ro;
"""


@dataclass(frozen=True)
class PostgresServer:
    """`url(role)` connects as that role; the roles are postgres (superuser), ro (may
    write, too) and writer.
    """

    folder: Path

    def url(self, role: str) -> str:
        return f"postgresql://{role}@/postgres?host={self.folder}"

    def state(self) -> str:
        """Everything that a statement could have changed, as one text."""
        import psycopg

        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            facts = [
                "select * from t order by a",
                "select count(*) from pg_class",
                "select count(*) from pg_largeobject_metadata",
                "select last_value, is_called from sq",
                "select count(*) from pg_replication_slots",
                "select rolname, rolsuper from pg_roles order by 1",
                "select setting from pg_file_settings where name = 'work_mem'",
                "select count(*) from pg_extension",
            ]
            return str([connection.execute(sql).fetchall() for sql in facts])  # type: ignore[arg-type]


@contextmanager
def running(folder: Path) -> Iterator[PostgresServer]:
    """Start the server, or skip with the reason when this machine has none."""
    binaries = _binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server binaries (initdb, pg_ctl) on this machine")
    user = _user()
    if user is not None:
        shutil.chown(folder, user)
    data = folder / "data"

    def run(program: str, *arguments: str) -> None:
        subprocess.run(
            [binaries / program, *arguments],
            check=True,
            user=user,
            cwd=folder,
            timeout=120,
            stdout=subprocess.DEVNULL,
        )

    run("initdb", "-D", str(data), "-U", "postgres", "-A", "trust", "--no-sync")
    options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
    run(
        "pg_ctl",
        "-D",
        str(data),
        "-l",
        str(folder / "log"),
        "-o",
        options,
        "-w",
        "start",
    )
    server = PostgresServer(folder)
    try:
        _set_up(server)
        yield server
    finally:
        run("pg_ctl", "-D", str(data), "-m", "immediate", "stop")


def _set_up(server: PostgresServer) -> None:
    import psycopg

    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(SETUP.encode())
        for extension in ("dblink",):
            if connection.execute(
                "select 1 from pg_available_extensions where name = %s", [extension]
            ).fetchone():
                connection.execute(f"create extension {extension}".encode())


def _binaries() -> Path | None:
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return installed[-1].parent if installed else None


def _user() -> str | None:
    """PostgreSQL refuses to run as root."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"
