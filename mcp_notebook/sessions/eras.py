"""Which servers need the older handshake, remembered so that another start does not try
the newer one first.
"""

import time
from pathlib import Path

from mcp_notebook.config.userfiles import UserFile

# seconds; a server that was updated since gets to speak the newer protocol again
GOOD_FOR = 30 * 86400.0


class EraMemory:
    """Fingerprints of servers' descriptions; with a path also for the next kernel."""

    def __init__(self, path: Path | None = None) -> None:
        self._kept = UserFile(path)

    def needs_legacy(self, identity: str) -> bool:
        """Whether this server lately spoke only the older protocol, or ended when it
        was asked for the newer.
        """
        when = self._kept.get(identity)
        return isinstance(when, int | float) and 0 <= time.time() - when < GOOD_FOR

    def remember(self, identity: str) -> None:
        """It did now."""
        if not self.needs_legacy(identity):
            self._kept.keep(identity, int(time.time()))
