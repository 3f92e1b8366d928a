"""A message survives its way through server-sent events."""

from hypothesis import given
from hypothesis import strategies as st

from mcp_notebook import wire
from tests.fake_messages import server_use, text, thinking, use

texts = st.text(min_size=1)
arguments = st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.none()))
blocks = st.one_of(
    st.builds(text, texts),
    st.builds(thinking, texts),
    st.builds(use, st.just("tool"), arguments),
    st.builds(server_use, st.just("search"), arguments),
    st.just({"type": "something_new", "payload": {"a": [1]}}),
)


@given(st.lists(blocks), st.sampled_from(["end_turn", "tool_use", "refusal"]))
def test_events_and_back(content: list, stop_reason: str):
    message = {
        "id": "m",
        "content": content,
        "stop_reason": stop_reason,
        "usage": {"output_tokens": 5},
    }
    stream = b"".join(wire.encode(event) for event in wire.events(message))
    back = wire.assemble(wire.decode(stream))
    assert back is not None
    assert (back["content"], back["stop_reason"], back["usage"]["output_tokens"]) == (
        content,
        stop_reason,
        5,
    )


def test_a_stream_without_its_end_is_no_message():
    message = {"id": "m", "content": [text("one two")], "stop_reason": "end_turn"}
    parts = [wire.encode(event) for event in wire.events(message)]
    for length in range(len(parts)):
        assert wire.assemble(wire.decode(b"".join(parts[:length]))) is None


def test_an_error_event_or_half_a_call_is_no_message():
    error = {"type": "error", "error": {"type": "overloaded_error"}}
    message = {"content": [use("t", {"sql": "select 1"})], "stop_reason": "max_tokens"}
    whole = list(wire.events(message))
    assert wire.assemble([whole[0], error]) is None
    assert (
        wire.assemble(
            [e for e in whole if '"select 1"' not in str(e.get("delta"))][:2]
            + whole[-2:]
        )
        is not None
    )
    half = {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "input_json_delta", "partial_json": '{"a'},
    }
    assert wire.assemble([*whole[:2], half, *whole[-2:]]) is None
