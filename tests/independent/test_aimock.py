"""Recording and replay against an independent implementation of the Messages API."""

import json
from pathlib import Path
from typing import Any

import anthropic
import pytest

from mcp_notebook.replay.transports import RecordTransport, ReplayTransport
from tests.independent.aimock import API_KEY, running
from tests.replay.conversations import ask, words

pytestmark = [pytest.mark.node, pytest.mark.slow]

PROMPT = "How many orders?"
SQL = {"sql": "select count(*) from orders"}
FIXTURES: list[dict[str, Any]] = [
    {
        "match": {"userMessage": PROMPT, "hasToolResult": False},
        "response": {
            "content": "I look it up.",
            "toolCalls": [{"name": "shop__query", "arguments": json.dumps(SQL)}],
        },
    },
    {
        "match": {"userMessage": PROMPT, "hasToolResult": True},
        "response": {"content": "There are 300 orders."},
    },
]


async def test_a_recorded_conversation_replays_the_same(
    aimock_command: Path, tmp_path: Path
):
    seen: list[dict[str, Any]] = []

    def query(arguments: dict[str, Any]) -> str:
        seen.append(arguments)
        return "300"

    sidecar = tmp_path / "demo.claude.json"
    with running(aimock_command, FIXTURES, tmp_path) as url:
        live = await ask(RecordTransport(sidecar), PROMPT, url=url, result=query)
    replayed = await ask(ReplayTransport(sidecar, pace=0), PROMPT, result=query)
    assert words(live[0]) == words(replayed[0]) == "There are 300 orders."
    assert seen == [SQL, SQL]


async def test_a_connection_that_is_destroyed_is_not_recorded(
    aimock_command: Path, tmp_path: Path
):
    sidecar = tmp_path / "demo.claude.json"
    broken = running(aimock_command, FIXTURES, tmp_path, "--chaos-disconnect", "1")
    with broken as url, pytest.raises(anthropic.APIConnectionError):
        await ask(RecordTransport(sidecar), PROMPT, url=url)
    assert list(tmp_path.glob("*.claude.json")) == []


async def test_a_rate_limit_is_the_sdks_own_error(aimock_command: Path, tmp_path: Path):
    with running(aimock_command, FIXTURES, tmp_path, "--chaos-ratelimit", "1") as url:
        client = anthropic.AsyncAnthropic(base_url=url, api_key=API_KEY, max_retries=0)
        with pytest.raises(anthropic.RateLimitError):
            async with client:
                await client.messages.create(
                    model="claude-test",
                    max_tokens=9,
                    messages=[{"role": "user", "content": PROMPT}],
                )
