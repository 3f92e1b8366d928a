"""The same question through every client of the SDK, each over its own wire: tools, the
answer, the footer's name.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import pytest

import mcp_notebook
from mcp_notebook.agent import run
from mcp_notebook.errors import BackendError
from mcp_notebook.notebook import current
from tests.agent.clouds import WIRES, Cloud
from tests.fake_messages import FakeMessages, Reply, text, use
from tests.notebook.scripted import notebook

MODELS = {
    "AsyncAnthropicBedrock": "eu.anthropic.claude-sonnet-5-5-v1:0",
    "AsyncAnthropicVertex": "claude-sonnet-5-5@20260901",
}
AWS: dict[str, Any] = {
    "aws_access_key": "AKIDEXAMPLE",
    "aws_secret_key": "not-a-key",
    "aws_region": "eu-west-1",
}


async def token() -> str:
    return "google-token"


OPTIONS: dict[str, dict[str, Any]] = {
    "AsyncAnthropicBedrock": AWS,
    "AsyncAnthropicBedrockMantle": AWS,
    "AsyncAnthropicAWS": {**AWS, "workspace_id": "w"},
    "AsyncAnthropicVertex": {
        "region": "europe-west1",
        "project_id": "acme",
        "access_token": "google-token",
    },
    "AsyncAnthropicGoogleCloud": {
        "project": "acme",
        "workspace_id": "w",
        "token_provider": token,
    },
    "AsyncAnthropicFoundry": {"resource": "acme", "api_key": "foundry-key"},
}


@pytest.fixture(autouse=True)
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setattr(run, "PAUSE", 0.0)
    with notebook(tmp_path, {}):
        yield


def asked(name: str, api: FakeMessages) -> Cloud:
    """The notebook's client from now on: this one, over its own wire to the fake API."""
    api._socket.close()  # nothing listens: it is asked in this process
    cloud = Cloud(api, WIRES[name])
    http = httpx2.AsyncClient(transport=cloud)
    settings = current.notebook().settings
    settings.client = getattr(anthropic, name)(
        **OPTIONS[name], http_client=http, max_retries=0
    )
    settings.model = MODELS.get(name, "claude-sonnet-5-5")
    return cloud


def turns() -> list[Reply]:
    query = use("notebook__query", {"sql": "select sum(n) as total from orders"})
    return [Reply([text("Let me look."), query]), Reply([text("It is **6**.")])]


@pytest.mark.slow
@pytest.mark.parametrize("name", WIRES)
def test_a_question_with_a_call_is_answered_and_the_footer_names_the_cloud(
    name: str,
) -> None:
    api = FakeMessages(turns())
    asked(name, api)
    answer = mcp_notebook.ask("What is the total of @orders?")
    assert answer.text.endswith("It is **6**.")
    assert [c.outcome for c in answer.calls] == ["ok"]
    assert answer.usage.backend == f"{MODELS.get(name, 'claude-sonnet-5-5')} · {name}"
    assert answer.cost is not None
    assert answer.cost > 0
    assert api.refused == []
    marks = str(api.requests[1]).count("cache_control")
    assert marks >= 2, "the prefix is cached"


def test_the_clouds_of_others_get_marks_on_blocks_alone() -> None:
    for name in ("AsyncAnthropicBedrock", "AsyncAnthropicVertex"):
        api = FakeMessages(turns())
        asked(name, api)
        _ = mcp_notebook.ask("What is the total of @orders?", new=True).text
        assert "cache_control" not in api.requests[1]
        assert api.requests[1]["messages"][-1]["content"][-1]["cache_control"] == {
            "type": "ephemeral"
        }


def test_an_exception_frame_of_bedrock_is_tried_again() -> None:
    api = FakeMessages([Reply([text("half")]), Reply([text("whole")])])
    asked("AsyncAnthropicBedrock", api).broken = "throttlingException"
    assert mcp_notebook.ask("Hello?").text == "whole"


def test_missing_credentials_of_a_cloud_are_told_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", os.devnull)
    settings = current.notebook().settings
    settings.client = anthropic.AsyncAnthropicVertex(
        region="europe-west1", project_id="acme"
    )
    with pytest.raises(BackendError, match="AsyncAnthropicVertex") as told:
        _ = mcp_notebook.ask("Hello?").text
    assert "credentials" in told.value.message
