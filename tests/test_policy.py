"""Who may run: rules and grants decide, what a tool says of itself does not."""

import json
import stat

import pytest

from mcp_notebook.errors import ConfigError
from mcp_notebook.policy import (
    DENIED_UNATTENDED,
    CallRequest,
    Grants,
    Rules,
    claim_text,
    decide,
    grant,
)


def action(
    server="web",
    tool="fetch",
    fingerprint="f1",
    *,
    trusted=False,
    grants=None,
    arguments=None,
    **rules,
):
    call = CallRequest(server, tool, arguments or {}, "spec", fingerprint, trusted)
    return decide(call, Rules(**rules), grants or Grants()).action


def test_a_tool_of_another_server_is_asked_for():
    assert action() == "ask"


def test_the_notebooks_own_and_bundled_servers_run_without_asking():
    assert action(trusted=True) == "allow"


def test_a_pattern_allows_by_tool_or_by_server_and_tool():
    assert action(tool="read_rows", allow=("read_*",)) == "allow"
    assert action(allow=("web.*",)) == "allow"
    assert action(server="other", allow=("web.*",)) == "ask"


def test_a_tool_name_with_dots_is_matched_whole():
    assert action(server="db", tool="db.query", allow=("db.db.query",)) == "allow"


def test_deny_wins_over_allow_and_trust():
    assert action(trusted=True, allow=("*",), deny=("web.fetch",)) == "deny"


def test_nobody_there_to_ask_means_no_and_claude_is_told_why():
    decision = decide(CallRequest("web", "fetch"), Rules(attended=False), Grants())
    assert (decision.action, decision.reason) == ("deny", DENIED_UNATTENDED)


def test_a_grant_holds_for_the_definition_that_was_shown_only():
    grants = Grants()
    grants.add(grant("web", "spec", "fetch", "f1", {}))
    assert action(grants=grants) == "allow"
    assert action(grants=grants, fingerprint="f2") == "ask"


def test_a_read_only_mark_is_told_as_a_claim():
    assert "nobody checked" in claim_text({"readOnlyHint": True})
    assert "may change" in claim_text({"destructive_hint": True})


def test_an_unattended_run_may_be_given_leave():
    assert action(attended=False, unattended="allow") == "allow"
    assert action(attended=False, unattended="allow", deny=("web.*",)) == "deny"


@pytest.mark.parametrize(
    ("rule", "sql", "expected"),
    [
        ("shop.query(sql~'^\\s*select')", "SELECT 1", "allow"),
        ("shop.query(sql~'^\\s*select')", "delete from t", "ask"),
        ("shop.query(sql='select *')", "select 1", "allow"),
        ("shop.*(sql!~'drop|delete')", "select 1", "allow"),
        ("shop.*(sql!~'drop|delete')", "DROP TABLE t", "ask"),
        ("query(other='x')", "select 1", "ask"),
        ("shop.query(sql~'select', limit='5')", "select 1", "allow"),
    ],
)
def test_a_rule_may_speak_of_arguments(rule, sql, expected):
    arguments = {"sql": sql, "limit": 5}
    assert action("shop", "query", arguments=arguments, allow=(rule,)) == expected


@pytest.mark.parametrize(
    "rule",
    [
        "shop.query(sql)",
        "shop.query(sql~'(')",
        "two words",
        "shop.query(sql~'a' b~'c')",
    ],
)
def test_a_rule_that_cannot_be_read_is_refused_by_name(rule):
    with pytest.raises(ConfigError):
        action(allow=(rule,))


def test_an_ask_rule_asks_each_time_whatever_was_allowed_before():
    grants = Grants()
    grants.add(grant("web", "spec", "fetch", "f1", {}))
    call = CallRequest("web", "fetch", {"url": "x"}, "spec", "f1", trusted=True)
    decision = decide(call, Rules(allow=("*",), ask=("web.fetch(url='x')",)), grants)
    assert (decision.action, decision.always) == ("ask", False)


def test_allowed_tools_are_remembered_for_the_user_alone(tmp_path):
    path = tmp_path / "config" / "approvals.json"
    Grants(path).add(grant("web", "spec", "fetch", "f1", {"name": "fetch"}))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Grants(path).holds("spec", "fetch", "f1")
    assert not Grants(path).holds("another spec", "fetch", "f1")


def test_a_server_inside_the_kernel_is_not_remembered(tmp_path):
    grants = Grants(tmp_path / "a.json")
    grants.add(grant("web", "here:web", "fetch", "f1", {}))
    assert grants.holds("here:web", "fetch", "f1")
    assert not list(Grants(tmp_path / "a.json"))


def test_the_question_says_what_changed_since_the_last_answer():
    grants = Grants()
    assert "not allowed" in grants.history("spec", "fetch", "f1", {})
    grants.add(grant("web", "spec", "fetch", "f1", {"description": "safe"}))
    changed = grants.history(
        "spec", "fetch", "f2", {"description": "also sends ~/.env"}
    )
    assert "CHANGED" in changed
    assert '+  "description": "also sends ~/.env"' in changed


def test_a_damaged_file_allows_nothing(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("{", encoding="utf-8")
    assert not list(Grants(path))
    path.write_text(json.dumps({"allowed": [{"tool": "x"}]}), encoding="utf-8")
    assert not list(Grants(path))


def test_what_was_allowed_can_be_forgotten(tmp_path):
    grants = Grants(tmp_path / "a.json")
    grants.add(
        *(
            grant(server, server, tool, "f", {})
            for server in ("web", "shop")
            for tool in ("a", "b")
        )
    )
    assert (grants.forget("web", "a"), grants.forget("shop")) == (1, 2)
    assert [(g.server, g.tool) for g in Grants(tmp_path / "a.json")] == [("web", "b")]
