"""The splitter of lines and the tap, without any server."""

import copy
import json
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.shared.message import SessionMessage
from mcp.types import JSONRPCError, JSONRPCNotification, JSONRPCRequest

from mcp_notebook.sessions.http import _split_at_escape
from mcp_notebook.sessions.reply_repair.results import LISTS, repair_reply
from mcp_notebook.sessions.reply_repair.tap import (
    BURST,
    Tap,
    TooLong,
    is_plain_result,
    mend_halves,
)
from mcp_notebook.sessions.stdio import LineSplitter
from mcp_notebook.untrusted_text import whole_text


def feed(splitter: LineSplitter, chunks: Iterable[bytes]) -> list[bytes | TooLong]:
    return [line for chunk in chunks for line in splitter.feed(chunk)]


@given(st.lists(st.binary(max_size=20), max_size=10), st.integers(1, 30))
def test_lines_come_whole_however_they_were_cut(lines: list[bytes], size: int) -> None:
    lines = [line.replace(b"\n", b"") for line in lines]
    stream = b"".join(line + b"\n" for line in lines)
    pieces = [stream[i : i + size] for i in range(0, len(stream), size)]
    assert feed(LineSplitter(1000), pieces) == lines


def test_a_line_over_the_cap_is_told_at_once_and_let_go() -> None:
    splitter = LineSplitter(10)
    found = feed(splitter, [b"abc\n12345678", b"90123", b"45678", b"9\nxyz\n"])
    assert found[0] == b"abc"
    assert found[1] == TooLong(b"1234567890123", b"", 13, ended=False)
    assert isinstance(found[2], TooLong)
    assert (found[2].ended, found[2].size) == (True, 19)
    assert found[3] == b"xyz"


def asked(*numbers: int, method: str = "tools/call", cap: int = 1000) -> Tap:
    tap = Tap(cap=cap)
    for number in numbers:
        tap.note_outbound(
            SessionMessage(JSONRPCRequest(jsonrpc="2.0", id=number, method=method))
        )
    return tap


def ended(messages: list[SessionMessage]) -> list[int | str | None]:
    return [m.message.id for m in messages if isinstance(m.message, JSONRPCError)]


@pytest.mark.parametrize(
    "line",
    [
        b'{"result":{"id":1,"a":' + b"9" * 5000 + b'},"jsonrpc":"2.0","id":2}',
        b'[{"jsonrpc":"2.0","id":2,"result":{}}]',
        b'{"id":2,"jsonrpc":"2.0","result":null}',
    ],
)
def test_a_broken_reply_ends_the_call_that_it_names_among_several(line: bytes) -> None:
    assert ended(asked(1, 2, 3).take_line(line)) == [2]


def test_a_broken_reply_without_a_name_ends_the_only_call_or_none() -> None:
    assert ended(asked(7).take_line(b'{"jsonrpc":"2.0","result":{bad}}')) == [7]
    assert ended(asked(7, 8).take_line(b'{"jsonrpc":"2.0","result":{bad}}')) == []


def test_a_stream_that_stays_open_is_never_the_call_that_a_stray_reply_belongs_to() -> (
    None
):
    assert (
        ended(
            asked(7, method="subscriptions/listen").take_line(
                b'{"jsonrpc":"2.0","result":{bad}}'
            )
        )
        == []
    )


def test_logs_on_stdout_are_noise_even_as_json() -> None:
    tap = asked(1)
    for line in (
        b'{"level":"info"}',
        b"{",
        b'  "a": 1',
        b"}",
        b"",
        b"  \r",
        b"\x1b[32mready\x1b[0m",
    ):
        assert tap.take_line(line) == []
    assert tap.noise_lines == 5


def test_a_broken_notification_ends_no_call() -> None:
    assert (
        asked(1).take_line(
            b'{"jsonrpc":"2.0","method":"notifications/progress","params":{bad}}'
        )
        == []
    )


def test_a_late_reply_is_let_go_and_one_that_nobody_asked_for_ends_the_only_call() -> (
    None
):
    tap = asked(1, 2)
    params = {"requestId": 1}
    cancel = JSONRPCNotification(
        jsonrpc="2.0", method="notifications/cancelled", params=params
    )
    tap.note_outbound(SessionMessage(cancel))
    assert tap.take_line(b'{"jsonrpc":"2.0","id":1,"result":{}}') == []
    assert ended(tap.take_line(b'{"jsonrpc":"2.0","id":99,"result":{}}')) == [2]


def test_an_error_without_an_id_ends_the_only_call() -> None:
    line = (
        b'{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}'
    )
    assert ended(asked(4).take_line(line)) == [4]


def test_too_many_notifications_of_one_kind_are_let_go_and_replies_are_not() -> None:
    tap = asked(1)
    line = json.dumps(
        {
            "jsonrpc": "2.0",
            "method": "notifications/message",
            "params": {"level": "info", "data": 1},
        }
    )
    passed = sum(len(tap.take_line(line.encode())) for _ in range(1000))
    assert BURST <= passed < 2 * BURST
    assert len(tap.take_line(b'{"jsonrpc":"2.0","id":1,"result":{}}')) == 1


MENDED = {
    "half a character": (
        rb'{"jsonrpc":"2.0","id":2,"result":{"a":"x\ud83d","b":"\\ud83d","c":"\ud83d\ude00"}}',
        {"a": "x\ufffd", "b": r"\ud83d", "c": "\U0001f600"},
    ),
    "a null beside the result": (
        b'{"jsonrpc":"2.0","id":2,"error":null,"result":{"a":1}}',
        {"a": 1},
    ),
}


@pytest.mark.parametrize("case", MENDED)
def test_a_reply_with_one_odd_thing_keeps_the_rest(case):
    line, result = MENDED[case]
    (message,) = asked(2).take_line(line)
    assert message.message.result == {**result, "content": []}


ERRORS = {
    "a code that is a word": ({"code": "E42", "message": "disk full"}, "disk full"),
    "a bare text": ("disk full", "disk full"),
    "no message": ({"code": 5, "detail": "disk full"}, "the call failed"),
    "no code": ({"message": "disk full"}, "disk full"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_of_another_form_is_still_its_words(case):
    error, words = ERRORS[case]
    line = json.dumps({"jsonrpc": "2.0", "id": 2, "error": error}).encode()
    (message,) = asked(2).take_line(line)
    assert message.message.error.message == words
    assert "disk full" in message.message.error.model_dump_json()


@given(st.text(st.sampled_from('a\\u"ud83de\ude00 \ud83d\U0001f600'), max_size=30))
def test_halves_of_characters_are_mended_and_nothing_else(text):
    line = json.dumps(text).encode()
    assert json.loads(mend_halves(line)) == whole_text(text)


@given(
    st.text(st.sampled_from('a\\u"d83\ud83d\udc00\U0001f600'), max_size=30),
    st.integers(1, 9),
)
def test_a_stream_is_mended_wherever_it_is_cut(text, size):
    whole = json.dumps(text).encode()
    held, mended = b"", b""
    for start in range(0, len(whole), size):
        ready, held = _split_at_escape(held + whole[start : start + size])
        mended += mend_halves(ready)
    assert mended + mend_halves(held) == mend_halves(whole)


ITEMS = {
    "tools/list": {"name": "t", "inputSchema": {"type": "object"}},
    "prompts/list": {"name": "p"},
    "resources/list": {"name": "r", "uri": "a://b"},
    "resources/templates/list": {"name": "r", "uriTemplate": "a://{b}"},
}
ODD = st.sampled_from(
    [None, True, 7, "x", [], ["x"], {}, {"x": None}, [{}], {"readOnlyHint": "maybe"}]
)
FIELDS = st.sampled_from(
    ["title", "description", "annotations", "icons", "_meta", "outputSchema", "execution",
     "arguments", "mimeType", "size", "inputSchema", "name", "uri"]
)  # fmt: skip


@given(
    st.sampled_from(sorted(ITEMS)),
    st.dictionaries(FIELDS, ODD, max_size=4),
    st.sampled_from(["2025-06-18", "2025-11-25", "", "1999-01-01"]),
)
def test_an_odd_field_costs_no_other_item(method, odd, version):
    from mcp_types import methods

    place = LISTS[method]
    result = {place: [{**ITEMS[method], **odd}, dict(ITEMS[method])]}
    refused: dict[str, str] = {}
    repair_reply((method, version), result, refused, [])
    methods.validate_server_result(method, "2025-11-25", result)
    methods.MONOLITH_RESULTS[method].model_validate(result, by_name=False)
    assert ITEMS[method] in result[place]
    needed = set(odd) & set(ITEMS[method])
    assert needed or len(result[place]) == 2


TEXT = {"type": "text", "text": "rows"}
BLOCKS = st.dictionaries(
    st.sampled_from(["type", "text", "annotations", "_meta", "data"]),
    st.sampled_from(["text", "image", 7, None, {}]),
)
RESULTS = st.dictionaries(
    st.sampled_from(["isError", "structuredContent", "_meta", "resultType"]),
    st.sampled_from([None, True, "true", 1, {}, {"a": 1}, []]),
)


@given(
    RESULTS, st.lists(st.just(TEXT) | BLOCKS | st.just("bare"), max_size=3) | st.none()
)
def test_what_passes_as_plain_has_nothing_to_mend(result, content):
    result = {**result, "content": content}
    if is_plain_result(result):
        mended, warnings = copy.deepcopy(result), []
        repair_reply(("tools/call", "2025-11-25"), mended, {}, warnings)
        assert (mended, warnings) == (result, [])


def test_an_answer_of_texts_is_plain_and_one_odd_thing_is_enough():
    plain = {"content": [TEXT, TEXT], "isError": False, "structuredContent": {}}
    assert is_plain_result(plain)
    assert not is_plain_result({})
    for odd in ({"isError": "true"}, {"_meta": None}, {"content": [TEXT, "bare"]}):
        assert not is_plain_result({**plain, **odd})
