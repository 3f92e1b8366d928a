"""The one place that talks to IPython's display machinery; a list in its place is the test."""

import sys
from typing import Any, Protocol
from uuid import uuid4

from IPython.display import display, update_display

Bundle = dict[str, Any]


class Screen(Protocol):
    """Where a view draws. `show` returns the id by which `update` replaces what was shown."""

    def show(self, bundle: Bundle) -> str: ...
    def update(self, shown: str, bundle: Bundle) -> None: ...
    def write(self, text: str) -> None: ...


class CellScreen:
    """The output of the running cell. Use it only in the cell's own thread and context."""

    def show(self, bundle: Bundle) -> str:
        shown = uuid4().hex
        display(bundle, raw=True, display_id=shown)
        return shown

    def update(self, shown: str, bundle: Bundle) -> None:
        update_display(bundle, raw=True, display_id=shown)

    def write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()
