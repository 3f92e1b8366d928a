"""A state without a notebook, as a script has it."""

import pytest

from mcp_notebook.notebook import current
from mcp_notebook.notebook.options import MCPNotebook
from mcp_notebook.notebook.state import Notebook


@pytest.fixture
def state(monkeypatch):
    """A state of this test's own."""
    made = Notebook(current.PlainShell(), MCPNotebook())
    monkeypatch.setattr(current, "_plain", made)
    yield made
    current.run(made, made.sessions.close_all())
