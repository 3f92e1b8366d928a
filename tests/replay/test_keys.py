"""What belongs to the key of a request and what does not."""

from typing import Any

import pytest

from mcp_notebook.agent.request import user_blocks
from mcp_notebook.replay.keys import fingerprint

ASKED = {"role": "user", "content": "How many?"}


def conversation(
    id: str = "toolu_1", sql: str = "select 1", result: Any = "3", **use: Any
) -> dict[str, Any]:
    call = {
        "type": "tool_use",
        "id": id,
        "name": "shop__query",
        "input": {"sql": sql},
        **use,
    }
    answer = {"type": "tool_result", "tool_use_id": id, "content": result}
    return {
        "model": "a",
        "messages": [
            ASKED,
            {"role": "assistant", "content": [call]},
            {"role": "user", "content": [answer]},
        ],
    }


BASE = fingerprint(conversation())


@pytest.mark.parametrize(
    "same",
    [
        conversation(id="toolu_2"),
        conversation(result=[{"type": "text", "text": "4"}]),
        conversation(caller={"type": "direct"}, cache_control={"type": "ephemeral"}),
        {
            **conversation(),
            "model": "b",
            "max_tokens": 5,
            "stream": True,
            "thinking": {"type": "adaptive"},
        },
        {
            **conversation(),
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "How many? "}]},
                *conversation()["messages"][1:],
            ],
        },
    ],
)
def test_ids_results_models_and_marks_are_not_in_the_key(same: dict[str, Any]):
    assert fingerprint(same).key == BASE.key


@pytest.mark.parametrize(
    "other",
    [
        conversation(sql="select 2"),
        {**conversation(), "messages": conversation()["messages"][:1]},
        {
            **conversation(),
            "output_config": {"format": {"type": "json_schema", "schema": {}}},
        },
    ],
)
def test_words_calls_and_the_form_of_the_answer_are(other: dict[str, Any]):
    assert fingerprint(other).key != BASE.key


def test_thinking_is_left_out():
    with_thinking = conversation()
    with_thinking["messages"][1]["content"].insert(
        0, {"type": "thinking", "thinking": "x", "signature": "y"}
    )
    assert fingerprint(with_thinking).key == BASE.key


def test_results_are_told_apart_with_their_call():
    (evidence,) = BASE.evidence
    assert evidence.call == 'shop__query(sql="select 1")'
    assert evidence.text == "3"
    assert fingerprint(conversation(result="4")).evidence[0].digest != evidence.digest


def test_the_schemas_that_the_notebook_adds_to_a_prompt_are_drift_and_not_key():
    def asked(schema: str) -> Any:
        return fingerprint(
            {
                "messages": [
                    {
                        "role": "user",
                        "content": user_blocks("Use @t", ["t"], lambda name: schema),
                    }
                ]
            }
        )

    before, after = asked("a int64"), asked("a int64, b string")
    assert before.key == after.key
    assert before.setup.tables != after.setup.tables
    assert before.prompt == "Use @t"


def test_what_is_said_beside_tool_results_continues_the_cell():
    body = conversation()
    body["messages"][2]["content"].append({"type": "text", "text": "Sum up."})
    assert fingerprint(body).prompts == ("How many?",)
    assert fingerprint(body).prompt == "Sum up."
