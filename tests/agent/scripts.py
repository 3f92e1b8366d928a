"""Random cells: what the model says, how the wire fails, what tools do, what the person
says and when they stop.
"""

import itertools
from dataclasses import dataclass
from typing import Any, Literal

from hypothesis import strategies as st

from mcp_notebook.untrusted_text import sendable
from tests.agent import odd
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
ODD = "odd:"
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
    question: str


def _call(draw_name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return use(draw_name, arguments, id=f"c{next(_ids)}")


names = st.sampled_from(
    [f"shop__{t}" for t in TRUSTED]
    + [f"web__{t}" for t in UNTRUSTED]
    + ["nobody__knows"]
    # the n-th tool of the odd server, by the name that it has in the request
    + [f"{ODD}{n}" for n in range(4)] * 3
)
arguments = st.sampled_from(
    [
        {},
        {"sql": "select 1"},
        {"sql": "select 2"},
        {"password": ARGUMENT},
        {"deep": [{"api_key": ARGUMENT}]},
    ]
) | st.dictionaries(odd.NAMES, odd.anything, max_size=2).map(sendable)
calls = st.builds(_call, names, arguments)
texts = (
    st.sampled_from(["Looking.", "It is eight.", "one two three four five", "  "])
    | odd.texts
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


# What the service says of a request: that it is too long, or where it is wrong.
refusals = st.sampled_from(
    [
        "prompt is too long",
        "something is wrong",
        "Could not process image",
        "tools.0.custom.input_schema: odd",
        "tools.99.custom.name: odd",
        "messages.0.content.0.text: odd",
        "messages.2.content.0.tool_result.content.0: odd",
        "messages.1.content.1.tool_use.input: odd",
    ]
)
faults = st.builds(
    lambda status, said: Fault(
        status, said if status == 400 else "scripted", retry_after=None
    ),
    st.sampled_from([0, 400, 400, 401, 413, 429, 500, 529]),
    refusals,
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
    question=st.just("") | odd.texts,
)


@dataclass(frozen=True)
class Script:
    """The cells of one conversation, and the tools of a server as nobody wants it."""

    cells: list[Cell]
    odd_tools: list[tuple[Any, ...]]


conversations = st.builds(
    Script,
    cells=st.lists(cells, min_size=1, max_size=3),
    odd_tools=st.just([]) | odd.servers,
)
