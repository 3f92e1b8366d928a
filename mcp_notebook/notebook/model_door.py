"""The door to the model's SDK: what is behind it imports plainly, who needs it comes
through here.
"""

import asyncio
import importlib
from typing import Any

_COMPOSE = "mcp_notebook.notebook.compose"


async def load_compose() -> Any:
    """The module that composes a question, with the model's SDK behind it.

    The SDK takes seconds to import: on a worker thread the heartbeat and other sessions
    go on meanwhile.
    """
    return await asyncio.to_thread(importlib.import_module, _COMPOSE)


def compose_module() -> Any:
    """The same where a run has loaded it already."""
    return importlib.import_module(_COMPOSE)
