"""Live cards of cells that have ended: kept while there is room, so that their tables
can still be sorted and read.

What is saved of them is static HTML; `alive.js` puts the live card in its place on the
page, as long as the kernel knows the card. Of too many the oldest go, and their HTML
stands there again.
"""

from collections import OrderedDict
from typing import Protocol

MOST = 60  # cards; each weighs at most a few hundred kilobytes in the page
# of whole tables; of more, the oldest can only be looked at in their first rows
MOST_BYTES = 400_000_000


class Closes(Protocol):
    """A card."""

    place: str

    @property
    def nbytes(self) -> int: ...
    def forget(self) -> None: ...
    def close(self) -> None: ...


_kept: "OrderedDict[str, Closes]" = OrderedDict()


def keep(card: Closes) -> None:
    """Keep a card of a cell that ended."""
    _kept[card.place] = card
    while len(_kept) > MOST:
        _, oldest = _kept.popitem(last=False)
        oldest.close()
    held = 0
    for one in reversed(_kept.values()):
        held += one.nbytes
        if held > MOST_BYTES:
            one.forget()
