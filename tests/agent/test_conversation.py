"""The conversation is valid for the API after every kind of stop."""

from hypothesis import given
from hypothesis import strategies as st

from mcp_notebook.agent.conversation import (
    INTERRUPTED,
    Conversation,
    tool_result,
    transcript,
)
from tests.message_rules import refusal

USE = {
    "type": "tool_use",
    "id": "t1",
    "name": "shop__query",
    "input": {"sql": "select 1"},
}


def text(words):
    return {"type": "text", "text": words}


def valid(conversation, *more):
    messages = [*conversation.messages, *more]
    if messages[-1]["role"] == "assistant":
        messages.append({"role": "user", "content": [text("next")]})
    tools = [{"name": USE["name"], "input_schema": {"type": "object"}}]
    body = {"model": "m", "max_tokens": 1, "messages": messages, "tools": tools}
    assert refusal(body) is None


def test_a_question_after_an_interrupted_call_joins_the_message_with_its_result():
    conversation = Conversation()
    conversation.ask([text("how many?")])
    conversation.reply([USE])
    conversation.answer([tool_result("t1", "Interrupted", error=True)])
    conversation.ask([text("go on")])
    assert [m["role"] for m in conversation.messages] == ["user", "assistant", "user"]
    valid(conversation)


def test_an_interrupted_reply_keeps_its_text_and_says_so():
    conversation = Conversation()
    conversation.ask([text("tell me")])
    conversation.interrupt("Sales grew by ")
    assert conversation.messages[-1]["content"] == [
        text(f"Sales grew by {INTERRUPTED}")
    ]
    valid(conversation)


def test_an_interrupt_before_the_first_word_leaves_a_valid_reply():
    conversation = Conversation()
    conversation.ask([text("tell me")])
    conversation.interrupt("")
    valid(conversation)


def test_an_empty_reply_is_recorded_as_such():
    conversation = Conversation()
    conversation.ask([text("tell me")])
    conversation.reply([text("  ")])
    valid(conversation)


def test_a_result_without_text_is_never_sent_empty():
    assert tool_result("t1", " ")["content"][0]["text"] == "(empty result)"


def test_a_fork_goes_its_own_way():
    conversation = Conversation()
    conversation.ask([text("one")])
    fork = conversation.fork()
    fork.ask([text("two")])
    assert len(conversation.messages[0]["content"]) == 1


def test_the_transcript_shows_calls_and_results_and_no_thinking():
    conversation = Conversation()
    conversation.ask([text("how many?")])
    conversation.reply([{"type": "thinking", "thinking": "hm", "signature": "s"}, USE])
    conversation.answer([tool_result("t1", "3 rows")])
    assert [row["text"] for row in transcript(conversation.messages)] == [
        "how many?",
        "shop.query(sql='select 1')",
        "3 rows",
    ]


def ask_in(conversation, cell, words):
    """One run of a cell, as the notebook drives it; the cells that it made stale."""
    conversation.begin_cell(cell)
    conversation.ask([{"type": "text", "text": words}])
    conversation.reply([{"type": "text", "text": f"({words})"}])
    return conversation.end_cell(cell, words, None)


def asked_in(conversation):
    return [m["content"][0]["text"] for m in conversation.messages[::2]]


def test_a_cell_that_runs_again_replaces_its_own_turns():
    conversation = Conversation()
    for cell in "abc":
        assert ask_in(conversation, cell, cell) == []
    assert ask_in(conversation, "b", "b2") == ["c"]
    assert asked_in(conversation) == ["a", "b2"]
    ask_in(conversation, "c", "c2")
    assert asked_in(conversation) == ["a", "b2", "c2"]
    assert conversation.stale_cells() == []


@given(st.lists(st.sampled_from("abcdef"), max_size=30))
def test_the_history_is_what_the_cells_say_last(order):
    """Whatever runs in whatever order, then all once from the top: each question once."""
    conversation = Conversation()
    for number, cell in enumerate(order):
        ask_in(conversation, cell, f"{cell}{number}")
    parents = [conversation.runs[cell].parent for cell in conversation.runs]
    first_run = list(dict.fromkeys(order))
    assert list(conversation.runs) == first_run
    for cell in first_run:
        ask_in(conversation, cell, f"{cell} again")
    assert [conversation.runs[cell].parent for cell in first_run] == parents
    assert conversation.stale_cells() == []
    questions = asked_in(conversation)
    assert len(set(questions)) == len(questions)
    assert all(question.endswith("again") for question in questions)
