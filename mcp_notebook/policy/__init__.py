"""What the person laid down: who may run (allow, ask, deny) and how much a cell may
take. Pure decisions.
"""

from __future__ import annotations

from mcp_notebook.policy.budgets import NO_LIMITS, Budget, Limits, Spent
from mcp_notebook.policy.grants import (
    Grant,
    Grants,
    Start,
    Starts,
    grant,
    user_file,
)
from mcp_notebook.policy.rules import (
    DENIED_BY_PERSON,
    DENIED_BY_RULE,
    DENIED_CHANGED,
    DENIED_UNATTENDED,
    CallRequest,
    Decision,
    Rules,
    claim_text,
    decide,
    denial_text,
    matches_any,
    only_reads,
)

__all__ = [
    "DENIED_BY_PERSON",
    "DENIED_BY_RULE",
    "DENIED_CHANGED",
    "DENIED_UNATTENDED",
    "NO_LIMITS",
    "Budget",
    "CallRequest",
    "Decision",
    "Grant",
    "Grants",
    "Limits",
    "Rules",
    "Spent",
    "Start",
    "Starts",
    "claim_text",
    "decide",
    "denial_text",
    "grant",
    "matches_any",
    "only_reads",
    "user_file",
]
