"""The whole agent against an independent Messages API: tools, tables, conversation, and
the faults that it injects.
"""

import json
from pathlib import Path
from typing import Any

import pytest

import mcp_notebook
from mcp_notebook.agent import run
from mcp_notebook.errors import BackendError
from tests.independent.aimock import API_KEY, running
from tests.kernel.driver import kernel
from tests.notebook.scripted import notebook

pytestmark = [pytest.mark.node, pytest.mark.slow]
PROMPT = "What is the total of @orders?"
SQL = {"sql": "select sum(n) as total from orders"}
FIXTURES: list[dict[str, Any]] = [
    {
        "match": {"userMessage": "Thanks"},
        "response": {"content": "You are welcome."},
    },
    {
        "match": {"userMessage": PROMPT, "hasToolResult": False},
        "response": {
            "content": "I look it up.",
            "toolCalls": [{"name": "notebook__query", "arguments": json.dumps(SQL)}],
        },
    },
    {
        "match": {"userMessage": PROMPT, "hasToolResult": True},
        "response": {"content": "The total is **6**."},
    },
]


def environment(url: str) -> dict[str, str]:
    return {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": API_KEY}


def test_a_cell_in_a_kernel_asks_calls_and_answers(
    aimock_command: Path, tmp_path: Path
) -> None:
    with (
        running(aimock_command, FIXTURES, tmp_path) as url,
        kernel(tmp_path, environment(url)) as cells,
    ):
        cells.run(
            "%load_ext mcp_notebook\nimport pandas as pd\norders = pd.DataFrame({'n': [1, 2, 3]})"
        )
        ran = cells.run(f"%%claude --into total\n{PROMPT}")
        assert ran.status == "ok", ran.text
        assert "The total is **6**." in ran.text
        assert "claude-sonnet-5-5 · local" in ran.text
        assert cells.run("print(total.total.tolist())").text.strip() == "[6]"
        assert "You are welcome." in cells.run("%%claude\nThanks").text


CHAOS = {
    "--chaos-disconnect": "Cannot reach",
    "--chaos-ratelimit": "busy",
    "--chaos-drop": "failed",
}


@pytest.mark.parametrize("chaos", CHAOS)
def test_its_faults_are_told_in_a_sentence(
    aimock_command: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chaos: str
) -> None:
    monkeypatch.setattr(run, "PAUSE", 0.0)
    options = (chaos, "1")
    with (
        running(aimock_command, FIXTURES, tmp_path, *options) as url,
        notebook(tmp_path, environment(url)) as state,
    ):
        with pytest.raises(BackendError, match=CHAOS[chaos]):
            _ = mcp_notebook.ask(PROMPT).text
        assert state.conversation.messages == []
