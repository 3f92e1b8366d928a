"""Which notebook this kernel runs, and the file of recorded turns beside it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mcp_notebook.errors import ConfigError

SUFFIX = ".claude.json"


def notebook_path(
    user_ns: Mapping[str, Any], environ: Mapping[str, str] = os.environ
) -> Path | None:
    """The notebook's path where the frontend tells it: Jupyter servers do, VS Code
    does, nbclient does not.
    """
    for told in (user_ns.get("__vsc_ipynb_file__"), environ.get("JPY_SESSION_NAME")):
        if isinstance(told, str) and told.endswith(".ipynb"):
            return Path(told)

    return None


def replay_file(setting: str, user_ns: Mapping[str, Any]) -> Path | None:
    """The setting's file, else the one beside the notebook, else the only one in the
    working directory.
    """
    if setting:
        path = Path(setting).expanduser()
        if not path.exists():
            raise ConfigError(
                f"MCPNotebook.replay_file names {setting!r}, which does not exist."
            )

        return path

    notebook = notebook_path(user_ns)
    if notebook is not None:
        # The server's path may not be the kernel's (containers); the working directory
        # is the notebook's folder.
        beside = [notebook.with_suffix(SUFFIX), Path(notebook.with_suffix(SUFFIX).name)]
        return next((p for p in beside if p.exists()), None)

    found = sorted(Path.cwd().glob(f"*{SUFFIX}"))
    if len(found) == 1:
        return found[0]

    return None


def record_file(setting: str, user_ns: Mapping[str, Any]) -> Path:
    """Where to record; raises ConfigError when the notebook's name is not known."""
    if setting:
        return Path(setting).expanduser()

    notebook = notebook_path(user_ns)
    if notebook is None:
        raise ConfigError(
            "The notebook's file name is not known here; say where to record: %claude_record FILE."
        )

    return Path(notebook.with_suffix(SUFFIX).name)
