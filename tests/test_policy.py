"""Who may run: rules and grants decide, what a tool says of itself does not."""

from mcp_notebook.policy import DENIED_UNATTENDED, Grants, Rules, claims, decide


def action(server="web", tool="fetch", fingerprint="f1", *, trusted=False, grants=None, **rules):
    return decide(server, tool, fingerprint, trusted=trusted, rules=Rules(**rules), grants=grants or Grants()).action


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
    decision = decide("web", "fetch", "f", trusted=False, rules=Rules(attended=False), grants=Grants())
    assert (decision.action, decision.reason) == ("deny", DENIED_UNATTENDED)


def test_a_grant_holds_for_the_definition_that_was_shown_only():
    grants = Grants()
    grants.add("web", "fetch", "f1")
    assert action(grants=grants) == "allow"
    assert action(grants=grants, fingerprint="f2") == "ask"


def test_a_read_only_mark_is_told_as_a_claim():
    assert "nobody checked" in claims({"readOnlyHint": True})
    assert "may change" in claims({"destructive_hint": True})
