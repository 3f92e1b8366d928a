"""Random cells: what the model says, how the wire fails, what tools do, what the person
says and when they stop.
"""

import itertools
from dataclasses import dataclass
from typing import Any, Literal

from hypothesis import strategies as st

from tests.fake_messages import Fault, Reply, server_use, text, thinking, use

ENVIRONMENT = "planted-in-environment-7f3a"
ARGUMENT = "planted-in-argument-91bc"
RESULT = "planted-in-result-d20e"
PLANTED = (ENVIRONMENT, ARGUMENT, RESULT)

TRUSTED = ("rows", "secrets", "words", "fails", "raises", "slow", "lost", "quotes")
UNTRUSTED = ("fetch", "post")
ANSWERS = (
    "once",
    "always",
    "server",
    "deny",
    "deny: no need",
    f"deny: it says {RESULT[:7]}",
)
_ids = itertools.count(1)


@dataclass(frozen=True)
class Cell:
    """One cell: the model's turns, the person's answers in order, and when it is
    interrupted: after so many events (`cancel`, `close`), or after so many turns of the
    loop, wherever it waits then (`anywhere`)."""

    turns: list[Reply | Fault]
    answers: list[str]
    interrupt: int | None
    way: Literal["cancel", "close", "anywhere"]
    limits: dict[str, int]


def _call(draw_name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return use(draw_name, arguments, id=f"c{next(_ids)}")


names = st.sampled_from(
    [f"shop__{t}" for t in TRUSTED]
    + [f"web__{t}" for t in UNTRUSTED]
    + ["nobody__knows"]
)
arguments = st.sampled_from(
    [
        {},
        {"sql": "select 1"},
        {"sql": "select 2"},
        {"password": ARGUMENT},
        {"deep": [{"api_key": ARGUMENT}]},
    ]
)
calls = st.builds(_call, names, arguments)
texts = st.sampled_from(
    ["Looking.", "It is eight.", "one two three four five", "  "]
).map(text)
thoughts = st.sampled_from(["hm", "a table then"]).map(thinking)


@st.composite
def replies(draw: st.DrawFn) -> Reply:
    """One reply: thinking, text, calls, in this order, whole or broken."""
    content = [
        *draw(st.lists(thoughts, max_size=1)),
        *draw(st.lists(texts, max_size=1)),
    ]
    content += draw(st.lists(calls, max_size=3))
    breaks = draw(st.sampled_from(["", "", "", "", "cut", "reset", "error"]))
    after = draw(st.integers(1, 8))
    ends = draw(
        st.sampled_from(
            [
                "",
                "",
                "",
                "max_tokens",
                "refusal",
                "pause_turn",
                "model_context_window_exceeded",
            ]
        )
    )
    if ends == "pause_turn":
        content = [text("Searching."), server_use("web_search", {"query": "x"})]
    half = ends == "max_tokens" and bool(content) and content[-1]["type"] == "tool_use"
    return Reply(content, stop_reason=ends, breaks=breaks, after=after, half_tool=half)  # type: ignore[arg-type]


faults = st.sampled_from([0, 400, 401, 413, 429, 500, 529]).map(
    lambda status: Fault(
        status, "prompt is too long" if status == 400 else "scripted", retry_after=None
    )
)
cells = st.builds(
    Cell,
    turns=st.lists(replies() | faults, min_size=1, max_size=5),
    answers=st.lists(st.sampled_from(ANSWERS), max_size=4),
    interrupt=st.none() | st.integers(0, 14) | st.integers(15, 160),
    way=st.sampled_from(["cancel", "close", "anywhere", "anywhere"]),
    limits=st.fixed_dictionaries(
        {
            "iterations": st.integers(1, 5),
            "calls": st.integers(1, 6),
            "bytes": st.sampled_from([0, 300]),
        }
    ),
)
conversations = st.lists(cells, min_size=1, max_size=3)
