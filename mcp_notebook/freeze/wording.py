"""What stands around the steps in words, in a script and in a notebook alike."""

import re
from collections.abc import Iterable

from mcp_notebook.freeze.steps import Plan
from mcp_notebook.freeze.trail import Run
from mcp_notebook.secrets import seal_text

WORDS = "The model's words, not code and not checked:"


def imports(sources: Iterable[str]) -> list[str]:
    """The imports that the sources need."""
    needs_os = any(re.search(r"\bos\.environ\[", source) for source in sources)
    return [*(["import os", ""] if needs_os else []), "import mcp_notebook"]


def to_set(plan: Plan) -> list[str]:
    """The environment variables that hold nothing yet, as comments."""
    return [
        f"# Set {name} in the environment before this runs."
        for name in plan.sealer.missing
    ]


def own_tables(plan: Plan) -> list[str]:
    """The tables that no call gave, as comments."""
    return [
        f"# {name} is a table of your own code: it has to be made before what reads it."
        for name in plan.own
    ]


def question(run: Run) -> list[str]:
    """The lines of the question."""
    return seal_text(run.prompt.strip()).splitlines()


def answer(run: Run) -> list[str]:
    """The lines of what the model said."""
    return seal_text(run.words.strip()).splitlines()
