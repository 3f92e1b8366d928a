"""Clients that others wrote, from npm into a folder: the MCP Inspector, the official
TypeScript SDK, Claude Code.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PACKAGES = (
    "node@22",
    "@modelcontextprotocol/inspector@2",
    "@modelcontextprotocol/sdk@1",
    "@anthropic-ai/claude-code@2",
)


def installed() -> Path:
    """The folder with Node 22 and the clients, installed at its first use; skips where
    that cannot be.
    """
    folder = Path(
        os.environ.get(
            "MCP_NOTEBOOK_NODE", Path(tempfile.gettempdir()) / "mcp-notebook-node"
        )
    )
    modules = folder / "node_modules"
    binaries = [modules / ".bin" / name for name in ("mcp-inspector", "claude")]
    if not (modules / "@modelcontextprotocol" / "sdk").is_dir() or not all(
        binary.exists() for binary in binaries
    ):
        npm = shutil.which("npm")
        if npm is None and not os.environ.get("CI"):
            pytest.skip("npm is not installed")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text("{}")
        words = [
            npm or "npm",
            "install",
            "--no-audit",
            "--no-fund",
            "--loglevel=error",
            *PACKAGES,
        ]
        done = subprocess.run(
            words, cwd=folder, capture_output=True, text=True, timeout=600
        )
        if done.returncode and not os.environ.get("CI"):
            pytest.skip(f"npm cannot install the clients: {done.stderr[-200:]}")
        assert done.returncode == 0, done.stderr
    shutil.copy(HERE / "other_client.mjs", folder)  # where its imports are found
    return folder


def node(folder: Path) -> str:
    """Node 22 of the folder; the machine's own may be older than the clients need."""
    return str(folder / "node_modules" / ".bin" / "node")
