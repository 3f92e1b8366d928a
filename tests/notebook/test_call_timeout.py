"""`--timeout SECONDS`: how long a server's calls may take, however it was connected."""

import sys
from pathlib import Path

import anyio
import pytest
from mcp.server.mcpserver import MCPServer

import mcp_notebook
from mcp_notebook.config import ConnectOptions
from mcp_notebook.errors import ConfigError, NotebookError
from mcp_notebook.notebook import opening, output
from mcp_notebook.notebook.opening import resolve

OFFICE = Path(__file__).parents[1] / "servers" / "office.py"


def build() -> MCPServer:
    """A server whose tool never answers."""
    server = MCPServer("slow", log_level="ERROR")

    @server.tool()
    async def think() -> str:
        """Think."""
        await anyio.sleep_forever()
        return ""

    return server


def test_it_goes_before_the_setting_and_a_calls_own_before_it(state):
    state.settings.tool_timeout = 30
    mcp_notebook.connect("slow", build(), timeout=0.2)
    with pytest.raises(NotebookError, match=r"did not answer within 0\.2 s"):
        mcp_notebook.call("slow.think")
    with pytest.raises(NotebookError, match=r"did not answer within 0\.1 s"):
        mcp_notebook.call("slow.think", timeout=0.1)


@pytest.mark.slow
def test_a_line_sets_it_and_the_status_of_the_server_shows_it(state, capsys):
    opening.connect(
        state,
        ConnectOptions.from_line(f"office --timeout 90 {sys.executable} {OFFICE}"),
    )
    assert state.sessions.get("office").seconds_for(None, 60) == 90
    output.show_status(state, ["office"])
    assert "office: a call may take 90 s" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("90", 90),
        ("3600", 3600),
        ("600000", 600),  # Claude Code, Gemini CLI and Copilot
        ("0", None),
        ("null", None),
    ],
)
def test_a_files_key_is_the_same_and_the_line_goes_before_it(
    tmp_path, written, seconds
):
    path = tmp_path / "mcp.json"
    path.write_text(
        f'{{"mcpServers": {{"s": {{"command": "x", "timeout": {written}}}}}}}'
    )
    assert timeout_of(f"--config {path}") == seconds
    assert timeout_of(f"--config {path} --timeout 7") == 7


def timeout_of(line: str) -> float | None:
    (spec,) = resolve(ConnectOptions.from_line(line)).values()
    assert not isinstance(spec, ConfigError)
    return spec.options.timeout


def test_what_is_no_number_of_seconds_is_one_sentence(tmp_path):
    path = tmp_path / "mcp.json"
    path.write_text('{"mcpServers": {"s": {"command": "x", "timeout": "soon"}}}')
    with pytest.raises(ConfigError) as caught:
        timeout_of(f"--config {path}")
    assert caught.value.message == (
        f"server 's' in {path}: \"timeout\" takes seconds, not 'soon'."
    )
