"""Loading registers everything at once and makes the parts at first use."""

import subprocess
import sys

from mcp_notebook.magics.extension import CELL_MAGICS, LINE_MAGICS
from mcp_notebook.magics.families import FAMILIES


def run(code: str) -> str:
    shell = "from IPython.core.interactiveshell import InteractiveShell as S; shell = S.instance();"
    command = [sys.executable, "-c", shell + code]
    return subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=120
    ).stdout


def test_every_magic_is_registered_before_its_first_use():
    assert {n for c in FAMILIES for n in c.magics["line"]} == set(LINE_MAGICS)
    assert {n for c in FAMILIES for n in c.magics["cell"]} == set(CELL_MAGICS)


def test_loading_makes_none_of_the_parts():
    out = run(
        "shell.run_line_magic('load_ext', 'mcp_notebook'); import sys;"
        "print('mcp_notebook.notebook.state' in sys.modules, 'mcp_notebook.policy' in sys.modules)"
    )
    assert out.split() == ["False", "False"]


def test_a_first_use_does_what_the_magic_does():
    out = run(
        "shell.run_line_magic('load_ext', 'mcp_notebook'); shell.run_line_magic('mcp_tools', '')"
    )
    assert "No server is connected yet" in out


def test_help_is_that_of_the_magic_itself():
    out = run(
        "shell.run_line_magic('load_ext', 'mcp_notebook'); print(shell.find_cell_magic('claude').__doc__)"
    )
    assert "--max-usd" in out


def test_settings_are_there_at_once():
    out = run(
        "shell.run_line_magic('load_ext', 'mcp_notebook');"
        "shell.run_line_magic('config', 'MCPNotebook.rows_to_model = 7');"
        "from mcp_notebook.magics.extension import notebook_of; print(notebook_of(shell).settings.rows_to_model)"
    )
    assert out.split() == ["7"]


def test_an_unloaded_extension_leaves_no_magic():
    out = run(
        "shell.run_line_magic('load_ext', 'mcp_notebook'); shell.run_line_magic('mcp_tools', '');"
        "shell.run_line_magic('unload_ext', 'mcp_notebook');"
        "print(shell.find_line_magic('mcp_tools'), shell.find_cell_magic('claude'))"
    )
    assert out.split()[-2:] == ["None", "None"]
