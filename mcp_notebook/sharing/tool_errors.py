"""What a model can mend: an error whose text says what to change, and near misses for
mistyped names.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ToolError(Exception):
    """What the model can mend: the text becomes a tool result with `is_error`."""


def near(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Up to `count` known names close to `name`, best first; letter case does not matter."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    wanted = name.lower()
    close = difflib.get_close_matches(wanted, by_lower, n=count, cutoff=0.6)
    parts = [lower for lower in sorted(by_lower) if _shares(wanted, lower)]
    return [by_lower[lower] for lower in dict.fromkeys([*close, *parts])][:count]


def _shares(one: str, other: str) -> bool:
    """One is a part of the other, and long enough for that to mean something."""
    return min(len(one), len(other)) > 2 and (one in other or other in one)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence with a leading space that offers the near misses, or "" when nothing is near."""
    found = near(name, known)
    if found:
        return f" Did you mean {' or '.join(found)}?"
    return ""
