"""A state without a notebook, as a script has it."""

import pytest

from mcp_notebook.surface import here
from mcp_notebook.surface.notebook import Notebook
from mcp_notebook.surface.settings import MCPNotebook


@pytest.fixture
def state(monkeypatch):
    """A state of this test's own."""
    made = Notebook(here.PlainShell(), MCPNotebook())
    monkeypatch.setattr(here, "_plain", made)
    yield made
    here.run(made, made.sessions.close_all())
