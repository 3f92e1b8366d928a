"""Where a cell's output stands: in which form it is shown, the one place that talks to
IPython's display machinery, and places that what vanishes leaves to what comes next.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Literal, Protocol
from uuid import uuid4

from IPython.display import display, update_display

Bundle = dict[str, Any]

Mode = Literal["widget", "static", "text"]

MODES = ("auto", "widget", "static", "text")


def choose_mode(setting: str, shell: object) -> Mode:
    """The form of the output. `setting` is one of MODES; "auto" takes live cards only
    where a person is at a notebook.

    Headless runs (nbclient, papermill, Voilà) start the kernel with `allow_stdin`
    False: nobody answers there, and a saved widget would be blank. A terminal gets text
    whatever the setting says.
    """
    if setting not in MODES:
        raise ValueError(f"cards is one of {', '.join(MODES)}, not {setting!r}")

    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return "text"
    if setting in ("widget", "static", "text"):
        return setting
    if _has_person(kernel):
        return "widget"

    return "static"


def _has_person(kernel: object) -> bool:
    return getattr(kernel, "_allow_stdin", False) is True


class Screen(Protocol):
    """Where a view draws. `show` returns the id by which `update` replaces what was
    shown; `about` is the output's metadata.
    """

    def show(self, bundle: Bundle, about: Bundle | None = None) -> str: ...
    def update(self, shown: str, bundle: Bundle) -> None: ...
    def write(self, text: str) -> None: ...


class CellScreen:
    """The output of the running cell. Use it only in the cell's own thread and context."""

    def show(self, bundle: Bundle, about: Bundle | None = None) -> str:
        shown = uuid4().hex
        display(bundle, raw=True, display_id=shown, metadata=about)
        return shown

    def update(self, shown: str, bundle: Bundle) -> None:
        update_display(bundle, raw=True, display_id=shown)

    def write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


def _do_nothing() -> None:
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

    def add(self, bundle: Bundle, about: Bundle) -> None:
        """Show what has a place of its own and stays there, with its metadata."""
        self._order.append(self._screen.show(bundle, about))

    def update(self, shown: str, bundle: Bundle) -> None:
        """Show something else in a place that is taken."""
        self._screen.update(shown, bundle)

    def write(self, text: str) -> None:
        """Write plain text."""
        self._screen.write(text)

    def vacate(
        self,
        shown: str,
        taken: Callable[[], None] = _do_nothing,
        kept: Callable[[], None] = _do_nothing,
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
