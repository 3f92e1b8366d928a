"""What the person allowed: tools for this kernel, and those remembered for the user in
a file of their own.

The file holds, for each tool of each server, the definition that was shown when it was
allowed. It belongs to the user, is readable by them alone, and is never part of a
notebook.
"""

import datetime
import difflib
import json
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mcp_notebook.config.userfiles import user_folder

logger = logging.getLogger(__name__)

# how the `spec` of a server inside this kernel begins; it is not remembered
HERE = "here:"


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
        self._grants: dict[tuple[str, str], Grant] = {
            (g.spec, g.tool): g for g in _load(path)
        }

    def __iter__(self) -> Iterator[Grant]:
        return iter(self._grants.values())

    def add(self, *grants: Grant) -> None:
        """Remember tools as they are defined now; a server without a lasting
        description only for this kernel.
        """
        self._refresh()
        self._grants |= {(g.spec, g.tool): g for g in grants}
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
        before, after = _lines(grant.definition), _lines(definition)
        diff = difflib.unified_diff(
            before, after, "as you allowed it", "as it is now", lineterm="", n=1
        )
        return "\n".join(
            [
                f"The tool has CHANGED since you allowed it on {grant.when}:",
                *list(diff)[:60],
            ]
        )

    def forget(self, server: str = "", tool: str = "") -> int:
        """Forget the tools of a server, one tool, or everything; returns how many."""
        self._refresh()
        gone = [
            k
            for k, g in self._grants.items()
            if server in ("", g.server) and tool in ("", g.tool)
        ]
        for key in gone:
            del self._grants[key]
        self._save()
        return len(gone)

    def _refresh(self) -> None:
        # Other kernels write the file too.
        self._grants |= {
            (g.spec, g.tool): g
            for g in _load(self.path)
            if (g.spec, g.tool) not in self._grants
        }

    def _save(self) -> None:
        if self.path is None:
            return
        kept = [asdict(g) for g in self if not g.spec.startswith(HERE)]
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # mode 0600
            handle, temporary = tempfile.mkstemp(
                dir=self.path.parent, prefix=self.path.name
            )
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump({"version": 1, "allowed": kept}, file, indent=1)
            os.replace(temporary, self.path)
        except OSError as error:
            logger.warning("allowed tools are not remembered: %s", error)


def grant(
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


def _load(path: Path | None) -> list[Grant]:
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


def _lines(definition: Mapping[str, Any]) -> list[str]:
    return json.dumps(
        definition, indent=2, sort_keys=True, ensure_ascii=True
    ).splitlines()
