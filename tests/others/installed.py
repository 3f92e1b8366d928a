"""Other people's servers, installed for a test run: PyPI ones each in their own environment, npm ones in one folder.

CI installs them for real. Elsewhere they are used when MCP_NOTEBOOK_SERVERS names a folder to install them into.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

INSTALL_SECONDS = 900


def folder() -> Path:
    """Where servers are installed; skips outside CI when no folder is named."""
    named = os.environ.get("MCP_NOTEBOOK_SERVERS")
    if not named and not os.environ.get("CI"):
        pytest.skip("other people's servers are installed in CI, or when MCP_NOTEBOOK_SERVERS names a folder for them")
    path = Path(named) if named else Path(os.environ.get("RUNNER_TEMP", "/tmp")) / "mcp-notebook-servers"
    path.mkdir(parents=True, exist_ok=True)
    return path


def pypi(command: str, *packages: str) -> str:
    """The path of a command from PyPI packages, installed in an environment of its own."""
    home = folder() / f"py-{command}"
    script = home / "bin" / command
    if not script.exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        _run(str(home / "bin" / "pip"), "install", "-q", *packages)
    return str(script)


def npm(script: str, *packages: str) -> list[str]:
    """The command line that starts a script of an npm package."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is not installed") if not os.environ.get("CI") else pytest.fail("CI has no Node.js")
    home = folder() / "npm"
    home.mkdir(exist_ok=True)
    path = home / "node_modules" / script
    if not path.exists():
        options = ("--no-audit", "--no-fund", "--ignore-scripts", "--omit=optional", "--loglevel=error")
        _run("npm", "install", *options, "--prefix", str(home), *packages)
    return [str(node), str(path)]


def _run(*command: str) -> None:
    subprocess.run(command, check=True, timeout=INSTALL_SECONDS, stdout=subprocess.DEVNULL)
