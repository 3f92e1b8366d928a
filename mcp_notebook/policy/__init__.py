"""What the person laid down: who may run (allow, ask, deny) and how much a cell may
take. Pure decisions.
"""

from mcp_notebook.policy.budgets import NO_LIMITS, Budget, Limits, Spent
from mcp_notebook.policy.grants import Grant, Grants, grant, user_file
from mcp_notebook.policy.patterns import matches
from mcp_notebook.policy.rules import (
    DENIED_BY_PERSON,
    DENIED_BY_RULE,
    DENIED_CHANGED,
    DENIED_UNATTENDED,
    Asked,
    Decision,
    Rules,
    claims,
    decide,
    denial,
    only_reads,
)
from mcp_notebook.policy.starts import Start, Starts

__all__ = [
    "DENIED_BY_PERSON",
    "DENIED_BY_RULE",
    "DENIED_CHANGED",
    "DENIED_UNATTENDED",
    "NO_LIMITS",
    "Asked",
    "Budget",
    "Decision",
    "Grant",
    "Grants",
    "Limits",
    "Rules",
    "Spent",
    "Start",
    "Starts",
    "claims",
    "decide",
    "denial",
    "grant",
    "matches",
    "only_reads",
    "user_file",
]
