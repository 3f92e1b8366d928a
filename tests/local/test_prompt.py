"""What a small model is asked at each step."""

from typing import Any

import pyarrow as pa

from mcp_notebook.results.model_preview import preview
from tests.local.server.prompt import ANSWER, MAX_STRING, next_step, written

QUERY = {
    "name": "shop__query",
    "description": "Run one SELECT. At most 10 rows.",
    "input_schema": {
        "type": "object",
        "properties": {
            "sql": {"type": "string", "description": "long"},
            "mode": {"enum": ["a", "b"]},
        },
        "required": ["sql"],
    },
}
LIST = {
    "name": "shop__list",
    "description": "List.",
    "input_schema": {"type": "object", "properties": {}},
}


def body(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "system": "Schema: t(a)",
        "tools": [LIST, QUERY],
        "messages": list(messages),
        **more,
    }


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def called(
    id: str, result: str, *, error: bool = False
) -> tuple[dict[str, Any], dict[str, Any]]:
    use = {
        "type": "tool_use",
        "id": id,
        "name": "shop__query",
        "input": {"sql": f"select {id}"},
    }
    answer = {
        "type": "tool_result",
        "tool_use_id": id,
        "content": [{"type": "text", "text": result}],
        "is_error": error,
    }
    return {"role": "assistant", "content": [use]}, {
        "role": "user",
        "content": [answer],
    }


def tools_of(form: Any) -> list[str]:
    return [
        s["properties"]["tool"]["const"]
        for s in form.get("anyOf", [form])
        if "tool" in s["properties"]
    ]


def test_a_question_must_be_looked_up_first():
    step = next_step(body(user("How many?")))
    assert step.form is not None
    assert tools_of(step.form) == ["shop__list", "shop__query"]
    assert ANSWER not in step.form["anyOf"]


def test_rows_of_a_query_are_answered_at_once():
    step = next_step(body(user("How many?"), *called("t1", "3 rows")))
    assert step.form is None
    assert "3 rows" in step.messages[-1]["content"]


def test_a_query_without_rows_is_tried_once_more():
    once = next_step(body(user("How many?"), *called("t1", "a,b\n(0 rows)")))
    assert once.form is not None
    assert "gave no rows" in once.messages[-1]["content"]
    assert (
        next_step(
            body(
                user("How many?"),
                *called("t1", "t: 0 rows × 2"),
                *called("t2", "(0 rows)"),
            )
        ).form
        is None
    )
    assert (
        next_step(
            body(user("How many?"), *called("t1", "t: 10 rows × 2, 1,000 rows"))
        ).form
        is None
    )


def test_a_small_table_is_shown_as_its_rows_only():
    shown = preview(pa.table({"orders": [955]}), "counts")
    assert (
        next_step(body(user("x"), *called("t1", shown))).messages[-1]["content"]
        == "Tool result:\norders\n955"
    )
    longer = preview(pa.table({"orders": list(range(9))}), "counts")
    assert (
        longer
        in next_step(body(user("x"), *called("t1", longer))).messages[-1]["content"]
    )


def test_after_another_result_the_answer_is_offered_first():
    use, answer = called("t1", "3 rows")
    use["content"][0]["input"] = {}
    step = next_step(body(user("How many?"), use, answer))
    assert step.form is not None
    assert step.form["anyOf"][0] == ANSWER
    assert "3 rows" in step.messages[-1]["content"]


def test_after_an_error_the_call_must_be_mended_and_is_no_longer_its_own_words():
    step = next_step(
        body(user("How many?"), *called("t1", "no such column", error=True))
    )
    assert step.form is not None
    assert ANSWER not in step.form["anyOf"]
    assert [m["role"] for m in step.messages] == ["system", "user"]
    assert "select t1" in step.messages[-1]["content"]
    assert "no such column" in step.messages[-1]["content"]


def test_after_three_errors_it_may_give_up():
    failed = [
        message for n in range(3) for message in called(f"t{n}", "no", error=True)
    ]
    step = next_step(body(user("How many?"), *failed))
    assert step.form is not None
    assert ANSWER in step.form["anyOf"]
    assert "could not be answered" in written(step)[-1]["content"]


def test_the_choice_of_tools_is_kept():
    asked = body(user("How many?"), *called("t1", "3"))
    assert next_step({**asked, "tool_choice": {"type": "none"}}).form is None
    assert next_step({**asked, "tools": []}).form is None
    forced = next_step(
        {**asked, "tool_choice": {"type": "tool", "name": "shop__query"}}
    ).form
    assert forced is not None
    assert tools_of(forced) == ["shop__query"]
    assert (
        ANSWER
        not in (next_step({**asked, "tool_choice": {"type": "any"}}).form or {})[
            "anyOf"
        ]
    )


def test_strings_are_bounded_and_other_constraints_stay():
    form = next_step({**body(user("x")), "tools": [QUERY]}).form
    assert form is not None
    arguments = form["properties"]["arguments"]
    assert arguments["properties"]["sql"] == {"type": "string", "maxLength": MAX_STRING}
    assert arguments["properties"]["mode"] == {"enum": ["a", "b"]}
    assert arguments["required"] == ["sql"]
    assert arguments["additionalProperties"] is False


def test_a_property_may_be_called_like_a_keyword_of_json_schema():
    tool = {
        **LIST,
        "input_schema": {"type": "object", "properties": {"title": {"type": "string"}}},
    }
    form = next_step({**body(user("x")), "tools": [tool]}).form
    assert form is not None
    assert "title" in form["properties"]["arguments"]["properties"]


def test_earlier_questions_are_kept_short_and_old_ones_dropped():
    messages: list[dict[str, Any]] = []
    for n in range(6):
        answered = {
            "role": "assistant",
            "content": [{"type": "text", "text": f"answer {n}"}],
        }
        messages += [user(f"question {n}"), *called(f"t{n}", "x" * 5000), answered]
    step = next_step(body(*messages, user("question 6")))
    text = "\n".join(m["content"] for m in step.messages)
    assert "question 2" not in text
    assert "question 3" in text
    assert len(text) < 4000


def test_roles_alternate_and_the_answer_is_asked_without_the_form():
    step = next_step(body(user("a"), user("b"), *called("t1", "3")))
    assert [m["role"] for m in step.messages] == ["system", "user", "assistant", "user"]
    last = written(step)[-1]["content"]
    assert "3" in last
    assert "Answer the question now" in last


def test_the_system_prompt_lists_the_tools_in_one_line_each():
    assert (
        "- shop__query(sql: string, mode: a|b): Run one SELECT\n"
        in next_step(body(user("x"))).messages[0]["content"] + "\n"
    )
