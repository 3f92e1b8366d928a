"""Clients that others wrote, for Node: the MCP Inspector and the official TypeScript SDK, from npm into a folder."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PACKAGES = ("node@22", "@modelcontextprotocol/inspector@2", "@modelcontextprotocol/sdk@1")


def installed() -> Path:
    """The folder with Node 22 and both clients, installed at its first use; skips where that cannot be."""
    folder = Path(os.environ.get("MCP_NOTEBOOK_NODE", Path(tempfile.gettempdir()) / "mcp-notebook-node"))
    modules = folder / "node_modules"
    if not (modules / "@modelcontextprotocol" / "sdk").is_dir() or not (modules / ".bin" / "mcp-inspector").exists():
        npm = shutil.which("npm")
        if npm is None and not os.environ.get("CI"):
            pytest.skip("npm is not installed")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text("{}")
        words = [npm or "npm", "install", "--no-audit", "--no-fund", "--loglevel=error", *PACKAGES]
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=600)
        if done.returncode and not os.environ.get("CI"):
            pytest.skip(f"npm cannot install the clients: {done.stderr[-200:]}")
        assert done.returncode == 0, done.stderr
    shutil.copy(HERE / "other_client.mjs", folder)  # where its imports are found
    return folder


def node(folder: Path) -> str:
    """Node 22 of the folder; the machine's own may be older than the clients need."""
    return str(folder / "node_modules" / ".bin" / "node")
