"""The architecture, held by reading the imports: they go down only, and slow packages
stay where they belong.
"""

import ast
import importlib.util
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "mcp_notebook"
LADDER = [
    {"secrets", "untrusted_text"},
    {
        "errors",
        "json_schema",
        "kinds",
        "sql_functions",
        "wire",
    },
    {"sql_words", "values"},
    {"naming", "sql_effects"},
    {"veil"},
    {"events", "loop", "config", "charts"},
    {"sessions", "results", "policy", "ledger"},
    {"freeze"},  # what tables are told apart by is also what recordings keep of them
    {"agent", "display", "sharing", "replay"},
    {"notebook"},
    {"notebook_commands", "server_commands"},
    {"doctor", "lint"},
    {"magics"},
    {"cli"},
    {"shell_completion", "pytest_plugin"},
    {"__init__", "__main__"},
]
HOMES = {
    "mcp": {"sessions", "sharing"},
    "mcp_types": {"sessions", "sharing"},
    "anthropic": {"agent", "replay"},
    "ipywidgets": {"display"},
    "anywidget": {"display"},
    "duckdb": {"sharing", "display"},
    "sqlglot": {"sharing", "sql_effects", "veil"},
    "psycopg": {"sharing"},
    "pandas": {"results", "sharing", "display", "ledger", "freeze"},
    "vl_convert": {"charts"},
    "altair": set(),
    "pyarrow": {
        *("values", "charts", "results", "sharing", "display", "agent", "freeze"),
        "replay",
    },
    "python_calamine": {"results"},
}
SLOW = (
    "mcp",
    "anthropic",
    "pandas",
    "pyarrow",
    "duckdb",
    "sqlglot",
    "ipywidgets",
    "anywidget",
    "numpy",
)


def part_of(path: Path) -> str:
    relative = path.relative_to(ROOT)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def files() -> list[Path]:
    return [p for p in sorted(ROOT.rglob("*.py")) if "_notebooks" not in p.parts]


@cache
def nodes_of(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text())))


@cache
def imports_of(path: Path) -> tuple[tuple[str, bool], ...]:
    """(module, whether only for type checkers) of every import in a file."""
    nodes = nodes_of(path)
    typing_only = {
        id(child)
        for node in nodes
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for child in ast.walk(node)
    }
    found: list[tuple[str, bool]] = []
    for node in nodes:
        if isinstance(node, ast.Import):
            found += [(alias.name, id(node) in typing_only) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [
                (f"{node.module}.{alias.name}", id(node) in typing_only)
                for alias in node.names
            ]
    return tuple(found)


def level(part: str) -> int:
    return next(i for i, parts in enumerate(LADDER) if part in parts)


def ours(module: str) -> str | None:
    words = module.split(".")
    # The version is one text in the package's own file, which imports nothing itself.
    if words[0] != "mcp_notebook" or module == "mcp_notebook.__version__":
        return None
    return (
        words[1]
        if len(words) > 1 and any(words[1] in parts for parts in LADDER)
        else "__init__"
    )


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_imports_only_from_its_own_part_and_from_below(path: Path) -> None:
    part = part_of(path)
    for module, typing_only in imports_of(path):
        target = ours(module)
        if (
            target in (None, part)
            or (target == "__init__" and part in ("cli", "__main__"))
            or typing_only
        ):
            continue
        assert level(target) < level(part), f"{path.name} ({part}) imports {module}"


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_third_party_packages_stay_in_the_parts_named_for_them(path: Path) -> None:
    for module, typing_only in imports_of(path):
        homes = HOMES.get(module.split(".")[0])
        assert homes is None or typing_only or part_of(path) in homes, (
            f"{path.name} imports {module}"
        )


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_broad_except_says_why_it_is_a_boundary(path: Path) -> None:
    lines = path.read_text().split("\n")
    for node in nodes_of(path):
        broad = isinstance(node, ast.ExceptHandler) and (
            node.type is None
            or ast.unparse(node.type) in ("Exception", "BaseException")
        )
        if broad and not isinstance(node.body[-1], ast.Raise):
            assert "boundary" in "\n".join(lines[node.lineno - 1 : node.lineno + 1]), (
                f"{path.name}:{node.lineno}"
            )


def test_loading_the_extension_loads_no_slow_package() -> None:
    code = (
        "import sys; from IPython.core.interactiveshell import InteractiveShell as S;"
        "shell = S.instance(); before = set(sys.modules);"
        "import mcp_notebook; mcp_notebook.load_ipython_extension(shell);"
        "print(' '.join(sorted(m for m in set(sys.modules) - before if '.' not in m)))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout
    assert not set(out.split()) & set(SLOW), out


def rooms_of(part: Path) -> dict[str, set[str]]:
    """Which subpackages of a part each of them imports."""
    rooms = {room.name for room in part.iterdir() if (room / "__init__.py").exists()}
    found: dict[str, set[str]] = {}
    for room in rooms:
        prefix = f"mcp_notebook.{part.name}."
        modules = [
            m
            for path in sorted((part / room).rglob("*.py"))
            for m, typing in imports_of(path)
            if not typing
        ]
        targets = {
            m.removeprefix(prefix).split(".")[0]
            for m in modules
            if m.startswith(prefix)
        }
        found[room] = (targets & rooms) - {room}
    return found


@pytest.mark.parametrize(
    "part",
    [p for p in sorted(ROOT.iterdir()) if (p / "__init__.py").exists()],
    ids=lambda p: p.name,
)
def test_the_rooms_of_a_part_do_not_need_each_other(part: Path) -> None:
    left = rooms_of(part)
    while free := [room for room, needed in left.items() if not needed & left.keys()]:
        left = {room: needed for room, needed in left.items() if room not in free}
    assert not left, f"imports in a circle between {sorted(left)}"


def test_a_first_magic_loads_no_slow_package() -> None:
    # `%mcp_tools`, or Tab in a line that begins with %, must not wait for pandas.
    code = (
        "import sys, mcp_notebook.magics.families;"
        "print(' '.join(sorted(m for m in sys.modules if '.' not in m)))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout
    assert not set(out.split()) & set(SLOW), out


def test_a_schema_is_checked_without_the_grammar_of_iris():
    code = """if True:
        import sys
        from types import SimpleNamespace
        from mcp_notebook.sessions import tools
        tools._import()
        assert not {"lark", "rfc3987_syntax"} & set(sys.modules)
        from jsonschema import FormatChecker
        checker = FormatChecker()
        print(checker.conforms("https://x.example/é", "iri"), checker.conforms("no iri", "iri"))
    """
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    # where the grammar is not installed, nothing is judged by it
    judged = importlib.util.find_spec("rfc3987_syntax") is not None
    assert done.stdout.split() == ["True", str(not judged)]


def test_no_optional_package_is_needed_to_import_ours() -> None:
    # Whoever shares no Ibis table has no Ibis, whoever asks no PostgreSQL no psycopg.
    optional = ("ibis", "psycopg", "pyspark", "polars", "keyring", "python_calamine")
    for path in files():
        tree = ast.parse(path.read_text())
        tops = [n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)]
        names = {a.name for n in tops if isinstance(n, ast.Import) for a in n.names}
        names |= {n.module or "" for n in tops if isinstance(n, ast.ImportFrom)}
        for module in {name.split(".")[0] for name in names} & {*optional}:
            # these are entered by `sources/engines.py` and `engines/` alone, at use
            assert path.name == "postgres.py", f"{path.name} imports {module}"
