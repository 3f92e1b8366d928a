"""What the models endpoint says of a model: limits, and a warning before its end."""

import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from mcp_notebook.agent.backends import Backend, ModelFacts, ask_facts, fitting_reply


def backend_that(answer: Any) -> Backend:
    async def retrieve(model: str) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    client = SimpleNamespace(models=SimpleNamespace(retrieve=retrieve))
    return Backend(client, "live", "claude-x", "claude-x · live", "api.anthropic.com")


def info(days: float | None = None, lifecycle: str = "active", **more: Any) -> Any:
    end = None
    if days is not None:
        end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    return SimpleNamespace(lifecycle=lifecycle, retires_at=end, **more)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (info(), ""),
        (info(400), ""),
        (info(20), "is near its end and retires on"),
        (info(200, "deprecated"), "is deprecated and retires on"),
        (info(lifecycle="retired"), "is retired: choose another one"),
    ],
)
async def test_a_model_near_its_end_is_warned_of(answer: Any, words: str) -> None:
    warning = (await ask_facts(backend_that(answer))).warning
    assert words in warning
    assert bool(words) == bool(warning)


async def test_limits_are_taken_and_a_failure_costs_nothing() -> None:
    said = await ask_facts(
        backend_that(info(max_tokens=8000, max_input_tokens=200_000))
    )
    assert (said.reply, said.window) == (8000, 200_000)
    assert fitting_reply("claude-x", 16_000, said=said.reply) == 8000
    assert fitting_reply("claude-x", 16_000, said=None) == 16_000
    assert await ask_facts(backend_that(OSError("no network"))) == ModelFacts()
