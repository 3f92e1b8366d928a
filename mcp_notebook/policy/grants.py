"""What the person allowed before: tools, and the servers that a project's file starts.

The file of tools holds, for each tool of each server, the definition that was shown when
it was allowed. The file of starts holds what a configuration file started last time: it
comes with a clone and changes with a pull, so it is not the person's own, and when the
same name means another command they are asked. Both belong to the user, are readable by
them alone, and are never part of a notebook.
"""

import datetime
import difflib
import json
import logging
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mcp_notebook.config.userfiles import UserFile, user_folder

logger = logging.getLogger(__name__)

# how the `spec` of a server inside this kernel begins; it is not remembered
HERE = "here:"
MOST_DIFF_LINES = 60  # of a changed definition, as the question shows it


@dataclass(frozen=True)
class Grant:
    """A tool that the person allowed: of which server (`spec`: fingerprint of its
    description), defined how, when.
    """

    server: str
    spec: str
    tool: str
    fingerprint: str
    definition: dict[str, Any] = field(default_factory=dict, compare=False)
    when: str = ""


class Grants:
    """Allowed tools, each bound to the definition that was shown; `path` None: for this
    kernel only.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._grants = _by_tool(_load_grants(path))

    def __iter__(self) -> Iterator[Grant]:
        return iter(self._grants.values())

    def add(self, *grants: Grant) -> None:
        """Remember tools as they are defined now; a server without a lasting
        description only for this kernel.
        """
        self._refresh()
        self._grants |= _by_tool(grants)
        self._save()

    def holds(self, spec: str, tool: str, fingerprint: str) -> bool:
        """Whether exactly this definition was allowed; a changed one asks again."""
        grant = self._grants.get((spec, tool))
        return grant is not None and grant.fingerprint == fingerprint

    def history(
        self, spec: str, tool: str, fingerprint: str, definition: Mapping[str, Any]
    ) -> str:
        """What the person is told: never allowed before, or changed since, with the differences."""
        grant = self._grants.get((spec, tool))
        if grant is None:
            return "You have not allowed this tool before."
        if grant.fingerprint == fingerprint:
            return f"You allowed this tool on {grant.when}; it has not changed since."

        diff = difflib.unified_diff(
            _definition_lines(grant.definition),
            _definition_lines(definition),
            "as you allowed it",
            "as it is now",
            lineterm="",
            n=1,
        )
        head = f"The tool has CHANGED since you allowed it on {grant.when}:"
        return "\n".join([head, *list(diff)[:MOST_DIFF_LINES]])

    def forget(self, server: str = "", tool: str = "") -> int:
        """Forget the tools of a server, one tool, or everything; returns how many."""
        self._refresh()
        kept = {
            key: grant
            for key, grant in self._grants.items()
            if server not in ("", grant.server) or tool not in ("", grant.tool)
        }
        forgotten = len(self._grants) - len(kept)
        self._grants = kept
        self._save()
        return forgotten

    def _refresh(self) -> None:
        # Other kernels write the file too; what this one knows counts first.
        self._grants = _by_tool(_load_grants(self.path)) | self._grants

    def _save(self) -> None:
        if self.path is None:
            return

        kept = [asdict(grant) for grant in self if not grant.spec.startswith(HERE)]
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # made with mode 0600, for the user alone
            handle, temporary = tempfile.mkstemp(
                dir=self.path.parent, prefix=self.path.name
            )
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump({"version": 1, "allowed": kept}, file, indent=1)

            os.replace(temporary, self.path)
        except OSError as error:
            logger.warning("allowed tools are not remembered: %s", error)


def make_grant(
    server: str, spec: str, tool: str, fingerprint: str, definition: Mapping[str, Any]
) -> Grant:
    """A grant of today."""
    return Grant(
        server,
        spec,
        tool,
        fingerprint,
        dict(definition),
        datetime.date.today().isoformat(),
    )


def user_file(environ: Mapping[str, str] = os.environ) -> Path:
    """Where allowed tools are remembered for the user, by the platform's custom;
    MCP_NOTEBOOK_CONFIG_DIR overrides.
    """
    return user_folder(environ) / "approvals.json"


def _load_grants(path: Path | None) -> list[Grant]:
    if path is None or not path.exists():
        return []

    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return [Grant(**entry) for entry in content["allowed"]]
    except (OSError, ValueError, TypeError, KeyError) as error:
        # Fails closed: what cannot be read allows nothing.
        logger.warning(
            "%s cannot be read, so no tool counts as allowed before: %s", path, error
        )
        return []


def _definition_lines(definition: Mapping[str, Any]) -> list[str]:
    # In ASCII, so that a look-alike letter shows as what it is.
    text = json.dumps(definition, indent=2, sort_keys=True, ensure_ascii=True)
    return text.splitlines()


def _by_tool(grants: Iterable[Grant]) -> dict[tuple[str, str], Grant]:
    return {(grant.spec, grant.tool): grant for grant in grants}


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
