"""Places on the screen: what vanishes leaves its place to what comes next, so that no
empty output stays behind.
"""

from collections.abc import Callable

from mcp_notebook.display.screen import Bundle, Screen


def _nothing() -> None:
    """What usually is to be done about a vacated place."""


class Slots:
    """A screen on which outputs can be vacated; a new output takes the first vacant place."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._order: list[str] = []
        self._vacant: dict[str, tuple[Callable[[], None], Callable[[], None]]] = {}

    def show(self, bundle: Bundle) -> str:
        """Show something new, in a vacant place when there is one."""
        for shown in self._order:
            if shown in self._vacant:
                taken, _ = self._vacant.pop(shown)
                taken()
                self._screen.update(shown, bundle)
                return shown
        shown = self._screen.show(bundle)
        self._order.append(shown)
        return shown

    def update(self, shown: str, bundle: Bundle) -> None:
        """Show something else in a place that is taken."""
        self._screen.update(shown, bundle)

    def write(self, text: str) -> None:
        """Write plain text."""
        self._screen.write(text)

    def vacate(
        self,
        shown: str,
        taken: Callable[[], None] = _nothing,
        kept: Callable[[], None] = _nothing,
    ) -> None:
        """Give a place free. `taken` is called when something else takes it, `kept`
        when nothing did by the end.
        """
        self._vacant[shown] = taken, kept

    def close(self) -> None:
        """Nothing more comes: what stands in vacated places stays."""
        while self._vacant:
            _, kept = self._vacant.pop(next(iter(self._vacant)))
            kept()
