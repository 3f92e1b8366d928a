"""A real local Spark for the tests: one JVM, met as a classic session and over Spark Connect."""

import contextlib
import importlib.util
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mcp_notebook.sharing.sources import spark


@dataclass(frozen=True)
class Sparks:
    """The two ways to one Spark. `folder` is its warehouse and scratch place."""

    classic: Any
    connect: Any
    url: str
    folder: Path

    def session(self, way: str) -> Any:
        return self.classic if way == "classic" else self.connect

    def another_connect(self) -> Any:
        """A further Connect session, for tests that stop it."""
        from pyspark.sql.connect.session import SparkSession

        return SparkSession.builder.remote(self.url).create()

    def state(self) -> str:
        """Everything that a statement could have changed, as one text; views of ours go first."""
        spark.let_go()
        files = sorted(
            str(p.relative_to(self.folder))
            for p in self.folder.rglob("*")
            if "_mcp_" not in p.name
        )
        found = [files]
        for session in (self.classic, self.connect):
            found += [
                sorted(str(table) for table in session.catalog.listTables()),
                sorted(str(database) for database in session.catalog.listDatabases()),
                sorted(
                    str(row)
                    for row in session.sql("SET").collect()
                    if "executionId" not in str(row)
                ),
            ]
        return str(found)


@contextmanager
def running(folder: Path) -> Iterator[Sparks]:
    """Start Spark, or skip with the reason where this machine has no Java and is no CI."""
    java = shutil.which("java") is not None or "JAVA_HOME" in os.environ
    if not os.environ.get("CI") and (
        not java or importlib.util.find_spec("pyspark") is None
    ):
        pytest.skip("Spark needs Java 17 and pip install 'mcp-notebook[spark]'")
    from pyspark.sql import SparkSession
    from pyspark.sql.connect.session import SparkSession as Remote

    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.default.parallelism": "2",
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.plugins": "org.apache.spark.sql.connect.SparkConnectPlugin",
        "spark.connect.grpc.binding.port": str(port),
        "spark.sql.session.timeZone": "UTC",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "FATAL",
    }
    builder = SparkSession.builder.master("local[2]").appName("tests")
    for name, value in settings.items():
        builder = builder.config(name, value)
    classic = builder.getOrCreate()
    url = f"sc://127.0.0.1:{port}"
    connect = Remote.builder.remote(url).create()
    try:
        yield Sparks(classic, connect, url, folder)
    finally:
        with contextlib.suppress(Exception):  # boundary: a test may have stopped it
            connect.stop()
        classic.stop()


@contextmanager
def calls(way: str) -> Iterator[list[str]]:
    """What is asked of Spark meanwhile: methods of the JVM's objects (looking into
    answers is none), or requests.
    """
    from py4j.java_gateway import GatewayClient
    from pyspark.sql.connect.client.core import SparkConnectClient

    seen: list[str] = []
    if way == "classic":
        owner, names = GatewayClient, ["send_command"]
    else:
        owner, names = (
            SparkConnectClient,
            ["execute_command", "to_table", "schema", "_analyze"],
        )
    originals = {name: getattr(owner, name) for name in names}

    def counted(name: str) -> Any:
        def call(self: Any, *arguments: Any, **options: Any) -> Any:
            command = arguments[0] if way == "classic" else name
            if way == "connect" or command.startswith("c\n"):
                seen.append(command)
            return originals[name](self, *arguments, **options)

        return call

    for name in names:
        setattr(owner, name, counted(name))
    try:
        yield seen
    finally:
        for name, original in originals.items():
            setattr(owner, name, original)


@contextmanager
def moved(way: str) -> Iterator[list[int]]:
    """How many rows come from Spark meanwhile, each time that any do."""
    from pyspark.sql.classic.dataframe import DataFrame
    from pyspark.sql.connect.client.core import SparkConnectClient

    owner, name = (
        (DataFrame, "toArrow")
        if way == "classic"
        else (SparkConnectClient, "_execute_and_fetch")
    )
    original, seen = getattr(owner, name), []

    def counted(self: Any, *arguments: Any, **options: Any) -> Any:
        answer = original(self, *arguments, **options)
        table = answer if way == "classic" else answer[0]
        if table is not None:
            seen.append(table.num_rows)
        return answer

    setattr(owner, name, counted)
    try:
        yield seen
    finally:
        setattr(owner, name, original)
