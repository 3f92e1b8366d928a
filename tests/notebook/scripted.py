"""A script's own notebook for tests: the environment says who answers, a table `orders`
is there to ask about.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pandas as pd

from mcp_notebook import loop
from mcp_notebook.notebook import current
from mcp_notebook.notebook.state import Notebook

_OTHERS = ("ANTHROPIC", "AWS_", "GOOGLE")


@contextmanager
def notebook(folder: Path, environ: Mapping[str, str]) -> Iterator[Notebook]:
    """What `mcp_notebook.ask` works on, fresh, with nothing of the machine's own credentials."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_OTHERS)
    }
    with mock.patch.dict(
        os.environ,
        {**kept, "MCP_NOTEBOOK_CONFIG_DIR": str(folder), **environ},
        clear=True,
    ):
        current._plain = None
        state = current.notebook()
        state.bind("orders", pd.DataFrame({"n": [1, 2, 3]}))
        try:
            yield state
        finally:
            loop.run(state.sessions.close_all())
            current._plain = None
