"""What a person sees: events of a cell become one live view, and static output when the cell ends.

Light on purpose: the parts load on first use, so that loading the extension costs nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcp_notebook.display.listing import status_table_html, tools_table_html
    from mcp_notebook.display.modes import choose_mode
    from mcp_notebook.display.record import CallRecord, call_record
    from mcp_notebook.display.static import render_call
    from mcp_notebook.display.view import View

__all__ = [
    "CallRecord",
    "View",
    "call_record",
    "choose_mode",
    "render_call",
    "status_table_html",
    "tools_table_html",
]

_HOMES = {
    "CallRecord": "record",
    "View": "view",
    "call_record": "record",
    "choose_mode": "modes",
    "render_call": "static",
    "status_table_html": "listing",
    "tools_table_html": "listing",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # only when a part is first used

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
