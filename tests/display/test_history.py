"""The conversation for reading: one row a turn, long results folded, nothing hidden and
nothing that runs.
"""

from mcp_notebook.agent.conversation import Conversation, tool_result, transcript
from mcp_notebook.display.listing import history_bundle
from tests.display.conftest import Strict
from tests.fake_messages import text, thinking, use


def conversation() -> Conversation:
    made = Conversation()
    made.ask(
        [
            text("How many <b>orders</b>\u202e?"),
            text("Tables of the notebook named above: " + "x" * 400),
        ]
    )
    made.reply(
        [
            thinking("hm"),
            text("I look."),
            use("shop__query", {"sql": "select 1"}, id="a"),
        ]
    )
    made.answer([tool_result("a", "40 rows\n" + "row\n" * 200)])
    made.reply([text("There are 40.")])
    return made


def test_each_turn_is_a_row_with_who_spoke() -> None:
    bundle = history_bundle(
        transcript(conversation().messages), "4 messages · 100 tokens"
    )
    read = Strict(bundle["text/html"])
    assert bundle["text/html"].count("<tr") == 4
    for words in (
        "1you",
        "2Claude",
        "3tools",
        "4Claude",
        "shop.query(sql='select 1')",
        "4 messages · 100 tokens",
    ):
        assert words in read.text
    assert "How many <b>orders</b>\\u202e?" in read.text
    assert bundle["text/html"].count("<details") == 2


def test_the_text_of_it_reads_in_a_terminal() -> None:
    plain = history_bundle(transcript(conversation().messages), "end")["text/plain"]
    assert plain.splitlines()[0] == "1 you:"
    assert "2 Claude:\n  I look.\n  shop.query(sql='select 1')" in plain
    assert plain.endswith("\n\nend")
