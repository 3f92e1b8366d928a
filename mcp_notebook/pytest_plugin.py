"""`pytest --mcp-notebooks`: every shared notebook is a test, run as `mcp-notebook replay
--strict` runs it. Without the option nothing is looked at and nothing else is loaded.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

OPTION = "--mcp-notebooks"
SECONDS = 1_800  # of one notebook; a cell has a limit of its own


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("mcp-notebook")
    group.addoption(
        OPTION,
        action="store_true",
        help="run every notebook that loads mcp_notebook with its recorded turns, strictly",
    )
    group.addoption(
        "--mcp-offline",
        action="store_true",
        help="with --mcp-notebooks: replay what tools gave, too; no server is started",
    )


def pytest_collect_file(
    file_path: Path, parent: pytest.Collector
) -> pytest.Collector | None:
    """A notebook as a file of one test."""
    if file_path.suffix != ".ipynb" or not parent.config.getoption(OPTION):
        return None
    # Jupyter keeps an earlier version of each notebook there
    if ".ipynb_checkpoints" in file_path.parts or not is_shared(file_path):
        return None

    return NotebookFile.from_parent(parent, path=file_path)


def is_shared(path: Path) -> bool:
    """Whether a notebook loads the extension, so that it runs by what this package
    offers.
    """
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        sources = ["".join(cell["source"]) for cell in cells]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False

    return any(
        line.strip().startswith("%load_ext mcp_notebook")
        for source in sources
        for line in source.splitlines()
    )


class NotebookFile(pytest.File):
    """One notebook."""

    def collect(self) -> Iterator[pytest.Item]:
        """Its one test."""
        yield NotebookTest.from_parent(self, name="replay")


class NotebookTest(pytest.Item):
    """A notebook that must run to its end, each recorded answer for the data of now."""

    def runtest(self) -> None:
        """Run it in a process of its own; raises NotebookFailed."""
        words = [sys.executable, "-m", "mcp_notebook", "replay", str(self.path)]
        words += ["--quiet", "--strict"]
        if self.config.getoption("--mcp-offline"):
            words.append("--offline")

        try:
            done = subprocess.run(
                words, capture_output=True, text=True, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise NotebookFailed(
                f"{self.path.name} ran for more than {SECONDS} seconds."
            ) from None

        if done.returncode:
            lines = done.stderr.strip().splitlines()
            # what servers and the kernel say beside it is not why
            own = [line for line in lines if line.startswith("mcp-notebook: ")]
            raise NotebookFailed("\n".join(own or lines[-5:]))

    def repr_failure(self, excinfo: Any, style: Any = None) -> Any:
        """The line that says which cell stopped; other failures with their traceback."""
        if isinstance(excinfo.value, NotebookFailed):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """What it is called in a report."""
        return self.path, 0, f"notebook {self.path.name}"


class NotebookFailed(Exception):
    """A notebook stopped; the text is the line that says where."""
