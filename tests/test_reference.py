"""The reference says what the code says, of every variable that the code reads."""

import ast
import re

import pytest

from tests import reference
from tests.test_layers import ROOT, files

OF_OTHERS = re.compile(r"MCP_NOTEBOOK_\w+")


def test_the_reference_is_up_to_date():
    written = reference.FILE.read_text(encoding="utf-8")
    assert written == reference.document(), "run: python -m tests.reference"


def test_the_schema_of_recordings_is_up_to_date():
    written = reference.SCHEMA.read_text(encoding="utf-8")
    assert written == reference.recordings_schema(), "run: python -m tests.reference"


def constants(tree: ast.Module) -> dict[str, str]:
    """The texts that a module gives a name."""
    return {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name) and isinstance(node.value.value, str)
    }


def variables_of(tree: ast.Module) -> set[str]:
    """The variables that a module reads by name from something called `environ`, and
    those with our own prefix.
    """
    known = constants(tree)
    keys: list[ast.expr] = []
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and OF_OTHERS.fullmatch(str(node.value)):
            found.add(str(node.value))
        if isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith(
            "environ"
        ):
            keys.append(node.slice)
        is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        if is_call and ast.unparse(node.func.value).endswith("environ") and node.args:
            keys.append(node.args[0])
    for key in keys:
        if isinstance(key, ast.Constant):
            found.add(str(key.value))
        elif isinstance(key, ast.Name) and key.id in known:
            found.add(known[key.id])
    return found


@pytest.mark.slow
def test_every_variable_that_the_code_reads_is_in_the_reference():
    found: set[str] = set()
    for path in files():
        found |= variables_of(ast.parse(path.read_text(encoding="utf-8")))
    assert (ROOT / "config").is_dir()
    assert found == set(reference.ENVIRONMENT)
