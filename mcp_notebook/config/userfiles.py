"""Small files of this user's own: what the notebook remembers between kernels. Never
part of a notebook.
"""

import json
import logging
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import platformdirs

logger = logging.getLogger(__name__)

NAME = "mcp-notebook"
DIRECTORY = "MCP_NOTEBOOK_CONFIG_DIR"


def user_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where they are, by the platform's custom; MCP_NOTEBOOK_CONFIG_DIR overrides."""
    if environ.get(DIRECTORY):
        return Path(environ[DIRECTORY])

    # On macOS XDG_CONFIG_HOME leads elsewhere today; files that are there already count.
    before = Path.home() / "Library" / "Application Support" / NAME
    if sys.platform == "darwin" and before.is_dir():
        return before

    # Roaming and without an author: the folder in which these files always were.
    return platformdirs.user_config_path(NAME, appauthor=False, roaming=True)


class UserFile:
    """A JSON object in a file that other kernels read and write too; a damaged or
    unwritable one is no failure.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        # what was kept last, for this kernel, where the file cannot be used
        self._last: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        """What was last kept under the key, or None."""
        return self._read().get(key)

    def keep(self, key: str, value: Any) -> None:
        """Keep a value under the key."""
        self._last = {**self._read(), key: value}
        if self.path is None:
            return

        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # mode 0600
            handle, temporary = tempfile.mkstemp(
                dir=self.path.parent, prefix=self.path.name
            )
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(self._last, file, indent=1)

            os.replace(temporary, self.path)
        except OSError as error:
            logger.warning("%s cannot be written: %s", self.path, error)

    def _read(self) -> dict[str, Any]:
        if self.path is None:
            return self._last

        try:
            found = json.loads(self.path.read_text("utf-8"))
        except (OSError, ValueError):
            return self._last

        if isinstance(found, dict):
            return found

        return {}
