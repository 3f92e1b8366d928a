"""A stdio server, as it should be and as it should not."""

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any

import pytest

from mcp_notebook.errors import CallTimeout, ConnectError, SessionError
from mcp_notebook.sessions import Session, Sessions
from tests.sessions import malformed
from tests.sessions.support import ATTACKS, misbehaving, none_left, pids, plain


def text_of(outcome: Any) -> str:
    return outcome.result.content[0].text


async def do(session: Session, action: str, **arguments: Any) -> Any:
    return await session.call("t", {"do": action, **arguments}, timeout=20)


@pytest.mark.slow
async def test_a_tool_gives_its_result_and_the_size_that_came(
    sessions: Sessions,
) -> None:
    session = await sessions.connect("plain", plain())
    outcome = await session.call("echo", {"text": "hello"})
    assert text_of(outcome) == "hello"
    assert outcome.received_bytes > len("hello")
    assert outcome.warnings == ()
    assert [tool.name for tool in session.tools] == sorted(
        tool.name for tool in session.tools
    )
    assert session.state == "ready"
    assert session.era == "2026-07-28"


async def test_a_tool_that_fails_is_an_outcome_and_no_exception(
    sessions: Sessions,
) -> None:
    session = await sessions.connect("plain", plain())
    assert (await session.call("fail", {"text": "no such table"})).result.is_error
    assert (await session.call("nonesuch")).result.is_error


@pytest.mark.slow
async def test_a_server_gets_utc_and_named_variables_but_no_secrets_of_the_kernel(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERNEL_SECRET", "hidden")
    spec = plain()
    session = await sessions.connect(
        "plain", type(spec)(spec.command, spec.args, {"NAMED": "given"})
    )
    environment = (await session.call("environment")).result.structured_content
    assert environment["TZ"] == "UTC"
    assert environment["NAMED"] == "given"
    assert "KERNEL_SECRET" not in environment


async def test_a_crash_is_one_sentence_with_the_last_words_and_the_next_call_starts_the_server_again(
    sessions: Sessions,
) -> None:
    session = await sessions.connect("s", misbehaving())
    start = time.monotonic()
    with pytest.raises(
        SessionError, match=r"'s' was ended by signal 9 during t; the call may have run"
    ) as failure:
        await do(session, "die", last_words="disk on fire\n")
    assert time.monotonic() - start < 5
    assert "disk on fire" in failure.value.detail
    assert session.state == "crashed"
    assert text_of(await do(session, "ok")) == "ok"
    assert session.status()["restarts"] == 1


async def test_calls_in_flight_all_fail_when_the_server_ends(
    sessions: Sessions,
) -> None:
    session = await sessions.connect("s", misbehaving())
    calls = [do(session, "ok", n=n) for n in range(3)]
    results = await asyncio.gather(
        *calls, do(session, "exit", code=3), do(session, "ok"), return_exceptions=True
    )
    assert [text_of(result) for result in results[:3]] == ["ok"] * 3
    assert all(isinstance(result, SessionError) for result in results[3:])
    assert "exited with code 3" in str(results[3])


async def test_a_trusted_server_is_asked_again_after_a_crash(
    sessions: Sessions,
) -> None:
    session = await sessions.connect("s", misbehaving(), trusted=True)
    with pytest.raises(SessionError):
        await do(session, "die")
    assert session.status()["restarts"] == 2


async def test_a_server_that_always_crashes_is_given_up(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp_notebook.sessions.restart.BACKOFF", (0.0,))
    session = await sessions.connect("s", misbehaving())
    for _ in range(6):
        with pytest.raises(SessionError, match="during t"):
            await do(session, "die")
    with pytest.raises(SessionError, match="5 times in a row"):
        await do(session, "ok")


@pytest.mark.slow
async def test_a_call_that_takes_too_long_ends_in_time_and_a_hung_server_is_started_anew(
    sessions: Sessions,
) -> None:
    session = await sessions.connect("s", misbehaving())
    start = time.monotonic()
    with pytest.raises(CallTimeout, match=r"did not answer within 0\.3 s"):
        await session.call("t", {"do": "hang"}, timeout=0.3)
    assert time.monotonic() - start < 2
    assert text_of(await do(session, "ok")) == "ok"


async def test_a_server_that_was_only_slow_is_not_started_anew(
    sessions: Sessions,
) -> None:
    session = await sessions.connect("plain", plain())
    with pytest.raises(CallTimeout):
        await session.call("wait", {"seconds": 30}, timeout=0.2)
    assert text_of(await session.call("echo", {"text": "still here"})) == "still here"
    assert session.status()["restarts"] == 0


async def test_a_cancelled_call_leaves_a_session_that_gives_right_answers(
    sessions: Sessions,
) -> None:
    session = await sessions.connect("plain", plain())
    for n in range(5):
        slow = asyncio.create_task(session.call("wait", {"seconds": 30}))
        await asyncio.sleep(0)
        slow.cancel()
        assert text_of(await session.call("echo", {"text": str(n)})) == str(n)
        with pytest.raises(asyncio.CancelledError):
            await slow


async def test_progress_arrives_as_fractions_and_messages(sessions: Sessions) -> None:
    session = await sessions.connect("plain", plain())
    heard: list[tuple[float | None, str]] = []
    await session.call(
        "wait",
        {"seconds": 0.1},
        on_progress=lambda fraction, message: heard.append((fraction, message)),
    )
    assert (0.1, "step 1") in heard


async def test_noise_on_stdout_is_skipped_and_counted_and_never_in_an_error(
    sessions: Sessions,
) -> None:
    session = await sessions.connect("s", misbehaving("banner"))
    assert (
        text_of(await do(session, "print", line="password=hunter22 at host db1"))
        == "ok"
    )
    with pytest.raises(SessionError) as failure:
        await do(session, "die")
    assert "hunter22" not in failure.value.message + failure.value.detail


async def test_an_error_of_the_protocol_is_a_result_that_claude_can_mend(
    sessions: Sessions,
) -> None:
    session = await sessions.connect("s", misbehaving())
    outcome = await do(session, "error", code=-32602, message="column is missing")
    assert outcome.result.is_error
    assert text_of(outcome) == "column is missing"


async def test_a_flood_of_notifications_does_not_starve_the_call(
    sessions: Sessions,
) -> None:
    session = await sessions.connect("s", misbehaving())
    assert text_of(await do(session, "flood", count=20_000)) == "ok"
    assert session.restarter.connection is not None
    assert session.restarter.connection.tap.dropped > 19_000


async def test_a_storm_of_list_changes_is_not_a_storm_of_listings(
    sessions: Sessions,
) -> None:
    session = await sessions.connect("s", misbehaving("rug_pull"))
    await do(session, "flood", count=1000, method="notifications/tools/list_changed")
    await do(session, "ok")
    assert int(session.tools[0].description.split()[-1]) <= 3


async def test_a_line_that_drips_is_read(sessions: Sessions) -> None:
    session = await sessions.connect("s", misbehaving())
    assert text_of(await do(session, "drip", gap=0.002)) == "ok"


async def test_a_reply_over_the_cap_is_refused_and_the_session_goes_on() -> None:
    sessions = Sessions(cap=1_000_000)
    session = await sessions.connect("s", misbehaving())
    with pytest.raises(SessionError, match="more than 1 MB"):
        await do(session, "big", size=3_000_000)
    assert len(text_of(await do(session, "big", size=900_000))) == 900_000
    await sessions.close_all(0.2)


async def test_a_line_that_never_ends_is_refused_at_the_cap() -> None:
    sessions = Sessions(cap=1_000_000)
    session = await sessions.connect("s", misbehaving())
    with pytest.raises(SessionError, match="more than 1 MB"):
        await do(session, "unended", size=5_000_000)
    await sessions.close_all(0.2)


async def test_much_stderr_does_not_block_and_is_cut(sessions: Sessions) -> None:
    session = await sessions.connect("s", misbehaving())
    for _ in range(3):
        assert text_of(await do(session, "shout", size=2_000_000)) == "ok"
    session.log.trim()
    assert session.log.size() <= 64 * 1024


def wire_cases() -> list[Mapping[str, Any]]:
    path = ATTACKS / "malformed_results.jsonl"
    if not path.exists():
        return []
    cases = [json.loads(line) for line in path.read_text().splitlines()]
    plain_cases = [
        c
        for c in cases
        if c["layer"] == "wire"
        and not {"drip_seconds_per_byte", "stderr_bytes"} & set(c)
    ]
    large = ("line_100mb", "line_10mb", "no_newline_50mb", "flood_20k_notifications")
    return [case for case in plain_cases if case["name"] not in large]


READABLE = {
    "nan",
    "dup_content",
    "reply_twice",
    "crlf",
    "big_exponent",
    "unknown_content_type",
    # mended, and said so
    "lone_surrogate",
    "result_missing_content",
    "error_nonint_code",
    "content_not_list",
}
BESIDE = {"ansi_banner", "empty_lines", "progress_unknown_token", "list_changed_storm"}


async def test_replies_that_are_wrong_in_one_way_are_mended_or_end_their_own_call(
    sessions: Sessions,
) -> None:
    session = await sessions.connect("s", misbehaving())
    for name, body in malformed.KEPT.items():
        assert await session.call("t", {"do": "raw", "body": body}, timeout=20), name
    for name, body in malformed.ENDED.items():
        try:
            outcome = await session.call("t", {"do": "raw", "body": body}, timeout=20)
        except SessionError as error:
            failure = error
        else:
            pytest.fail(f"{name} gave {outcome.result}")
        assert not isinstance(failure, CallTimeout), name
        assert failure.message.count("\n") == 0
        assert text_of(await do(session, "ok")) == "ok"
    for body in malformed.BESIDE.values():
        await session.call(
            "t", {"do": "raw", "then_ok": True, "body": body}, timeout=20
        )
    assert session.status()["restarts"] == 0


async def test_a_part_that_is_wrong_is_left_out_and_the_rest_is_kept(
    sessions: Sessions,
) -> None:
    session = await sessions.connect("s", misbehaving())
    good = '{"type":"text","text":"rows"}'
    parts = f'[{good},null,"bare",{{"type":"image"}},{{"type":"text","text":7}}]'
    body = f'{malformed.RESULT}{{"content":{parts},"structuredContent":[1,2]}}}}'
    outcome = await session.call("t", {"do": "raw", "body": body}, timeout=20)
    texts = [block.text for block in outcome.result.content]
    assert (texts[0], texts[2], texts[4]) == ("rows", "bare", "7")
    assert outcome.result.structured_content == {"result": [1, 2]}
    assert len(outcome.warnings) >= 4


async def test_a_call_that_got_only_noise_says_so(sessions: Sessions) -> None:
    session = await sessions.connect("s", misbehaving())
    with pytest.raises(
        CallTimeout, match=r"1 line\(s\) of its stdout that are not MCP came instead"
    ):
        await session.call(
            "t", {"do": "raw", "body": "<html>502 Bad Gateway</html>"}, timeout=0.5
        )


@pytest.mark.skipif(
    not wire_cases(), reason="the attack corpus is not beside the checkout"
)
@pytest.mark.parametrize("case", wire_cases(), ids=lambda case: case["name"])
async def test_a_malformed_reply_ends_its_own_call_and_no_other(
    case: Mapping[str, Any], sessions: Sessions
) -> None:
    session = await sessions.connect("s", misbehaving())
    arguments = {key: case[key] for key in ("parts", "body", "base64") if key in case}
    call = session.call(
        "t", {"do": "raw", "then_ok": case["name"] in BESIDE, **arguments}, timeout=20
    )
    if case["name"] in READABLE | BESIDE:
        await call
    else:
        with pytest.raises(SessionError) as failure:
            await call
        assert not isinstance(failure.value, CallTimeout)
    assert text_of(await do(session, "ok")) == "ok"
    assert session.status()["restarts"] == 0


@pytest.mark.parametrize(
    ("mode", "sentence"),
    [
        ("crash_start", r"exited with code 1 before it answered"),
        ("bad_version", r"speaks MCP 1999-01-01, this notebook speaks"),
        ("die_after_init", r"exited with code 4|closed its connection"),
    ],
)
async def test_a_server_that_does_not_start_says_why(
    mode: str, sentence: str, sessions: Sessions
) -> None:
    with pytest.raises(ConnectError, match=sentence):
        await sessions.connect("s", misbehaving(mode))
    assert sessions.names() == []


async def test_a_server_that_never_answers_is_given_up_and_gone(
    sessions: Sessions, pid_file: Any
) -> None:
    told: list[str] = []
    with pytest.raises(ConnectError, match=r"did not answer within 1\.2 s"):
        await sessions.connect(
            "s",
            misbehaving("hang_init", pid_file),
            timeout=1.2,
            on_progress=told.append,
        )
    assert told[0] == "starting"
    assert none_left(pids(pid_file), 5)


async def test_a_server_that_dies_on_the_probe_is_asked_the_older_way(
    sessions: Sessions,
) -> None:
    spec = misbehaving("die_on_probe")
    session = await sessions.connect("s", spec)
    assert session.era == "2025-06-18"
    assert text_of(await do(session, "ok")) == "ok"


async def test_a_server_without_tools_is_connected(sessions: Sessions) -> None:
    assert (await sessions.connect("s", misbehaving("no_tools"))).tools == ()


async def test_bad_tools_are_left_out_and_named_and_the_others_work(
    sessions: Sessions,
) -> None:
    session = await sessions.connect("s", misbehaving("bad_schema"))
    assert [tool.name for tool in session.tools] == ["t"]
    assert len(session.notices) == 3
    twice = await sessions.connect("d", misbehaving("dup_tools"))
    assert [tool.description for tool in twice.tools] == ["a tool"]
    assert "listed twice" in twice.notices[0]


async def test_an_endless_listing_is_cut(sessions: Sessions) -> None:
    session = await sessions.connect("s", misbehaving("endless_cursor"))
    assert len(session.tools) == 100
    assert "does not end" in session.notices[0]


@pytest.mark.parametrize("mode", ["ref_remote", "ref_loop", "regex_bomb", "mismatch"])
async def test_an_output_schema_that_does_not_fit_or_attacks_is_a_warning_with_the_data_kept(
    mode: str, sessions: Sessions
) -> None:
    session = await sessions.connect("s", misbehaving(mode))
    outcome = await do(session, "ok", give={"a": "a" * 40 + "!"})
    assert outcome.result.structured_content == {"a": "a" * 40 + "!"}
    assert bool(outcome.warnings) == (mode != "regex_bomb")


async def test_a_tool_that_changes_is_reported_with_a_diff(sessions: Sessions) -> None:
    session = await sessions.connect("s", misbehaving("rug_pull"))
    first = session.tools[0]
    await session.refresh_tools()
    (change,) = session.changed_tools
    assert change.before == first
    assert session.tools[0].fingerprint != first.fingerprint
    assert '-  "description": "a tool, version 1"' in change.diff()
    session.accept_changes()
    assert session.changed_tools == ()
