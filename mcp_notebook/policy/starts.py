"""What a project's file started last time: when the same name means another command,
the person is asked.

A config file in a folder is not the person's own: it comes with a clone and changes with a pull.
"""

from dataclasses import dataclass
from pathlib import Path

from mcp_notebook.config.userfiles import UserFile


@dataclass(frozen=True)
class Start:
    """One server of one file. `what`: its whole command or URL with secrets hidden;
    `fingerprint`: of all that runs.
    """

    path: Path
    name: str
    what: str
    fingerprint: str

    @property
    def key(self) -> str:
        return f"{self.path.absolute()}#{self.name}"


class Starts:
    """The starts that the person has seen; `path` None: in this kernel only."""

    def __init__(self, path: Path | None = None) -> None:
        self._kept = UserFile(path)

    def before(self, start: Start) -> str | None:
        """What that name stood for when it is something else now, None when it is the
        same or was never started.
        """
        known = self._kept.get(start.key)
        if not isinstance(known, dict) or known.get("fingerprint") == start.fingerprint:
            return None
        return str(known.get("what", ""))

    def is_new(self, start: Start) -> bool:
        """Whether that file's server was never started here."""
        return self._kept.get(start.key) is None

    def keep(self, start: Start) -> None:
        """The person has seen it."""
        self._kept.keep(
            start.key, {"what": start.what, "fingerprint": start.fingerprint}
        )
