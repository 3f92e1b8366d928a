"""Addresses from a template such as `shop://{table}/rows{?limit}`: which variable is
being typed, and what is known.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote

_PIECE = re.compile(r"\{([^}]*)\}")


@dataclass(frozen=True)
class Typing:
    """A place in a template: `variable` is being typed and holds `value` so far.

    `before` is what stands in front of the value; `after` the fixed text that follows
    it; `known` the variables before.
    """

    variable: str
    value: str
    before: str
    after: str
    known: dict[str, str]


def typing_in(template: str, typed: str) -> Typing | None:
    """Where in a template the typed address ends; None when it does not fit, or ends in
    fixed text.
    """
    pieces = _PIECE.split(template)  # fixed text and variables take turns
    rest, before, known = typed, "", dict[str, str]()
    for fixed, variable in zip(pieces[::2], [*pieces[1::2], ""], strict=True):
        if not rest.startswith(fixed) or not variable:
            return None
        before, rest = before + fixed, rest[len(fixed) :]
        name = variable.lstrip("+/#?&.;").split(":")[0].rstrip("*")
        following = pieces[2 * (len(known) + 1)]
        end = rest.find(following) if following else -1
        if "," in name or variable[:1] in "?&;":
            # several variables in one, or a query: there is no one value to complete
            return None
        if end < 0:
            return Typing(name, rest, before, following, known)
        known[name] = unquote(rest[:end])
        before, rest = before + rest[:end], rest[end:]
    return None
