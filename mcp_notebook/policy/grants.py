"""What the person allowed before: tools, and the servers that a project's file starts.

The file of tools holds, for each tool of each server, the definition that was shown when
it was allowed. The file of starts holds what a configuration file started last time: it
comes with a clone and changes with a pull, so it is not the person's own, and when the
same name means another command they are asked. Both belong to the user, are readable by
them alone, and are never part of a notebook.
"""

from __future__ import annotations

import datetime
import difflib
import json
import logging
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mcp_notebook.config.userfiles import UserFile, user_folder

logger = logging.getLogger(__name__)

# how the `spec` of a server inside this kernel begins; it is not remembered
HERE = "here:"
MOST_TOMBSTONES = 1_000
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
    # tells one answer from the next to the same question
    granted: str = field(default="", compare=False)


class Grants:
    """Allowed tools, each bound to its server's identity and to the definition that was
    shown; `path` None: for this kernel only.

    The file says what holds, at each call anew: what one kernel takes back is taken back
    in all. What was taken back stays noted, so that an older kernel's copy brings
    nothing back.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._file = UserFile(path)
        # of servers inside this kernel, which no other kernel could know
        self._here: dict[tuple[str, str], Grant] = {}

    def __iter__(self) -> Iterator[Grant]:
        return iter(self._all().values())

    def add(self, *grants: Grant) -> None:
        """Remember tools as they are defined now; a server without a lasting
        description only for this kernel.
        """
        here = [grant for grant in grants if grant.spec.startswith(HERE)]
        lasting = _by_tool(grant for grant in grants if grant not in here)
        self._here |= _by_tool(here)
        if lasting:
            self._file.change(
                lambda held: _write_grants({**_grants_in(held), **lasting}, held)
            )

    def holds(self, spec: str, tool: str, fingerprint: str) -> bool:
        """Whether exactly this definition was allowed; a changed one asks again."""
        grant = self._all().get((spec, tool))
        return grant is not None and grant.fingerprint == fingerprint

    def history(
        self, spec: str, tool: str, fingerprint: str, definition: Mapping[str, Any]
    ) -> str:
        """What the person is told: never allowed before, or changed since, with the differences."""
        grant = self._all().get((spec, tool))
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

        def is_kept(grant: Grant) -> bool:
            return server not in ("", grant.server) or tool not in ("", grant.tool)

        before = self._all()
        kept = {key: grant for key, grant in before.items() if is_kept(grant)}
        self._here = {key: kept[key] for key in self._here if key in kept}
        self._file.change(
            lambda held: _write_grants(
                {k: g for k, g in _grants_in(held).items() if is_kept(g)}, held
            )
        )
        return len(before) - len(kept)

    def _all(self) -> dict[tuple[str, str], Grant]:
        return {**_grants_in(self._file.read()), **self._here}


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
        uuid.uuid4().hex,
    )


def user_file(environ: Mapping[str, str] = os.environ) -> Path:
    """Where allowed tools are remembered for the user, by the platform's custom;
    MCP_NOTEBOOK_CONFIG_DIR overrides.
    """
    return user_folder(environ) / "approvals.json"


def _grants_in(held: Mapping[str, Any]) -> dict[tuple[str, str], Grant]:
    """The grants of a file; entries that are none allow nothing."""
    found = {}
    removed = _removed_in(held)
    entries = held.get("allowed")
    for entry in entries if isinstance(entries, list) else ():
        grant = _read_grant(entry)
        if grant is None:
            logger.warning("an entry of the allowed tools cannot be read")
            continue

        if removed.get(_tombstone(grant)) != grant.granted:
            found[grant.spec, grant.tool] = grant

    return found


def _read_grant(entry: Any) -> Grant | None:
    if not isinstance(entry, dict):
        return None

    try:
        grant = Grant(**entry)
    except TypeError:
        return None

    words = {**entry, "definition": ""}.values()
    is_sound = all(isinstance(word, str) for word in words)
    return grant if is_sound and isinstance(grant.definition, dict) else None


def _removed_in(held: Mapping[str, Any]) -> dict[str, str]:
    removed = held.get("removed")
    return dict(removed) if isinstance(removed, dict) else {}


def _write_grants(
    grants: Mapping[tuple[str, str], Grant], before: Mapping[str, Any]
) -> dict[str, Any]:
    """The file with these grants. Those of `before` that are not among them are noted as
    taken back, by the answer that gave them.
    """
    removed = _removed_in(before)
    for key, grant in _grants_in(before).items():
        if key not in grants:
            # behind the others, since it is the youngest note now
            removed.pop(_tombstone(grant), None)
            removed[_tombstone(grant)] = grant.granted

    # the youngest notes: a copy that is older than a thousand answers is gone
    youngest = dict(list(removed.items())[-MOST_TOMBSTONES:])
    return {
        "allowed": [asdict(grant) for grant in grants.values()],
        "removed": youngest,
    }


def _tombstone(grant: Grant) -> str:
    return f"{grant.spec} {grant.tool}"


def _definition_lines(definition: Mapping[str, Any]) -> list[str]:
    # In ASCII, so that a look-alike letter shows as what it is.
    text = json.dumps(definition, indent=2, sort_keys=True, ensure_ascii=True)
    return text.splitlines()


def _by_tool(grants: Iterable[Grant]) -> dict[tuple[str, str], Grant]:
    return {(grant.spec, grant.tool): grant for grant in grants}


@dataclass(frozen=True)
class Start:
    """One server of one file. `what`: its whole command or URL as the file writes it;
    `fingerprint`: of all that runs; `parts`: its parts by name, as digests; `sends`: what
    of the environment goes to which address.
    """

    path: Path
    name: str
    what: str
    fingerprint: str
    parts: Mapping[str, str] = field(default_factory=dict)
    sends: tuple[str, ...] = ()

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
        known = self._get_known(start)
        if known is None or known.get("fingerprint") == start.fingerprint:
            return None

        return str(known.get("what", ""))

    def changes(self, start: Start) -> tuple[str, ...]:
        """The parts of its identity that are not what they were, in words."""
        known = (self._get_known(start) or {}).get("parts") or {}
        names = dict.fromkeys([*known, *start.parts])
        return tuple(name for name in names if known.get(name) != start.parts.get(name))

    def find_unseen(self, start: Start) -> tuple[str, ...]:
        """What it sends that the person did not agree to before."""
        agreed = (self._get_known(start) or {}).get("sends") or ()
        return tuple(sent for sent in start.sends if sent not in agreed)

    def is_new(self, start: Start) -> bool:
        """Whether that file's server was never started here."""
        return self._kept.get(start.key) is None

    def keep(self, start: Start) -> None:
        """The person has seen it."""
        seen = {
            "what": start.what,
            "fingerprint": start.fingerprint,
            "parts": dict(start.parts),
            "sends": list(start.sends),
        }
        self._kept.keep(start.key, seen)

    def _get_known(self, start: Start) -> dict[str, Any] | None:
        known = self._kept.get(start.key)
        if isinstance(known, dict):
            return known

        return None
