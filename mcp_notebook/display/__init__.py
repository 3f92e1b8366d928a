"""What a person sees: events of a cell become one live view, and static output when the cell ends.

Light on purpose: the parts load on first use, so that loading the extension costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcp_notebook.display.call_view import CallView, view_call
    from mcp_notebook.display.card_html import render_call
    from mcp_notebook.display.listing import status_table_html, tools_table_html
    from mcp_notebook.display.outputs import choose_mode
    from mcp_notebook.display.view import View

__all__ = [
    "CallView",
    "View",
    "choose_mode",
    "render_call",
    "status_table_html",
    "tools_table_html",
    "view_call",
]

_HOMES = {
    "CallView": "call_view",
    "View": "view",
    "view_call": "call_view",
    "choose_mode": "outputs",
    "render_call": "card_html",
    "status_table_html": "listing",
    "tools_table_html": "listing",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
