"""Other people's servers, installed for a test run: PyPI ones by the SDK they need, npm
ones in one folder.

CI installs them for real. Elsewhere they are used when MCP_NOTEBOOK_SERVERS names a
folder to install them into.
"""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest

INSTALL_SECONDS = 900
# Servers that do not cap the SDK but need its first version share one environment; the
# others get today's.
PYPI = {
    "mcp1": ("mcp<2", "mcp-server-sqlite", "mcp-server-time", "mcp-server-git", "mcp-server-fetch",
             "sqlite-mcp-server", "mcp-server-duckdb", "pytz", "mcp-server-calculator"),
    # pinned: pip takes minutes to look through its many releases
    "mcp2": ("mcp-alchemy==2026.10.15.202659",),
}  # fmt: skip
OFFICIAL = "@modelcontextprotocol/server-"
NPM = (*(OFFICIAL + name for name in ("everything", "memory", "filesystem", "sequential-thinking")),
       "@cyanheads/git-mcp-server", "@bytebase/dbhub", "pg")  # fmt: skip
SCRIPTS = {
    "dbhub": "@bytebase/dbhub/dist/index.js",
    "git": "@cyanheads/git-mcp-server/dist/index.js",
    **{
        name: f"{OFFICIAL}{name}/dist/index.js"
        for name in ("everything", "memory", "filesystem")
    },
    "sequential-thinking": f"{OFFICIAL}sequential-thinking/dist/index.js",
}


@cache
def folder() -> Path:
    """Where the servers are, installed at the first question; skips outside CI when no
    folder is named.
    """
    named = os.environ.get("MCP_NOTEBOOK_SERVERS")
    if not named and not os.environ.get("CI"):
        pytest.skip(
            "other people's servers are installed in CI, or when MCP_NOTEBOOK_SERVERS names a folder for them"
        )
    path = (
        Path(named)
        if named
        else Path(os.environ.get("RUNNER_TEMP", "/tmp")) / "mcp-notebook-servers"
    )
    path.mkdir(parents=True, exist_ok=True)
    # side by side: they wait for the network, not for each other
    with ThreadPoolExecutor() as pool:
        list(
            pool.map(
                lambda install: install(),
                [lambda: _npm(path), *(_pypi_job(path, name) for name in PYPI)],
            )
        )
    return path


def pypi(command: str) -> list[str]:
    """The command line of a server from PyPI."""
    found = [folder() / f"py-{name}" / "bin" / command for name in PYPI]
    return [str(next(path for path in found if path.exists()))]


def npm(name: str) -> list[str]:
    """The command line that starts a server from npm, one of SCRIPTS."""
    return [
        str(shutil.which("node")),
        str(folder() / "npm" / "node_modules" / SCRIPTS[name]),
    ]


def _pypi_job(path: Path, name: str):
    def install() -> None:
        home, packages = path / f"py-{name}", PYPI[name]
        if _done(home) == packages:
            return
        if not (home / "bin" / "pip").exists():
            subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        _run(str(home / "bin" / "pip"), "install", "-q", *packages)
        (home / "installed").write_text("\n".join(packages))

    return install


def _npm(path: Path) -> None:
    if shutil.which("node") is None:
        pytest.fail("these servers need Node.js")
    home = path / "npm"
    home.mkdir(exist_ok=True)
    if _done(home) != NPM:
        options = (
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--omit=optional",
            "--loglevel=error",
        )
        _run("npm", "install", *options, "--prefix", str(home), *NPM)
        (home / "installed").write_text("\n".join(NPM))


def _done(home: Path) -> tuple[str, ...]:
    mark = home / "installed"
    return tuple(mark.read_text().splitlines()) if mark.exists() else ()


def _run(*command: str) -> None:
    subprocess.run(
        command, check=True, timeout=INSTALL_SECONDS, stdout=subprocess.DEVNULL
    )
