"""Recorded turns of a model, kept beside the notebook: what `%%claude` answers with
when there is no model to ask.

`RecordTransport` and `ReplayTransport` go under the ordinary Anthropic client
(`http_client`), so the loop, the tools and the approvals are the same code with and
without a model. Tools run live in a replay; where their results differ from the
recorded ones, that is drift, and it is shown.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcp_notebook.replay.player import ReplayTransport
    from mcp_notebook.replay.recorder import RecordTransport
    from mcp_notebook.replay.sidecar import Description, Drift, describe, sidecar_for

__all__ = [
    "Description",
    "Drift",
    "RecordTransport",
    "ReplayTransport",
    "describe",
    "sidecar_for",
]

_HOMES = {
    "Drift": "drift",
    "ReplayTransport": "player",
    "RecordTransport": "recorder",
    "Description": "sidecar",
    "describe": "sidecar",
    "sidecar_for": "sidecar",
}


def __getattr__(name: str) -> Any:
    # The transports load httpx2 (0.3 s): on first use, not with the extension.
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(name)
