"""What the person laid down: who may run (allow, ask, deny) and how much a cell may take. Pure decisions."""

from mcp_notebook.policy.budgets import NO_LIMITS, Budget, Limits, Spent
from mcp_notebook.policy.rules import (
    DENIED_BY_PERSON,
    DENIED_BY_RULE,
    DENIED_UNATTENDED,
    Decision,
    Grants,
    Rules,
    claims,
    decide,
    matches,
)

__all__ = [
    "DENIED_BY_PERSON",
    "DENIED_BY_RULE",
    "DENIED_UNATTENDED",
    "NO_LIMITS",
    "Budget",
    "Decision",
    "Grants",
    "Limits",
    "Rules",
    "Spent",
    "claims",
    "decide",
    "matches",
]
