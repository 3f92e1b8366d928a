"""How dense, how named and how knotted a package's code is: figures of its style.

    python -m tests.house [mcp_notebook mcp_notebook/results ...]

One line a figure, for each package. `tests/test_house.py` holds them. Calm code of other
projects (httpx, nbclient, stamina, the MCP SDK) has 23 to 28 decisions per 100 lines of
function bodies, none to 3 % of lines over 100 columns, and 5 to 9 comments per 100 lines.
"""

import ast
import collections
import pathlib
import re
import sys

BRANCHES = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.IfExp)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
PARTICIPLE = re.compile(
    r"_?[a-z]+(ed|en|ing|told|said|sent|kept|held|shown|seen|made|read|found|left|worn|bound)"
)


def decisions(function):
    """Branches and each further operand of `and`/`or`, plus one."""
    nodes = list(ast.walk(function))
    return (
        1
        + sum(isinstance(n, BRANCHES) for n in nodes)
        + sum(len(n.values) - 1 for n in nodes if isinstance(n, ast.BoolOp))
    )


def body_lines(function):
    """Lines of a function without its signature and docstring."""
    first = (
        function.body[1]
        if ast.get_docstring(function) and len(function.body) > 1
        else function.body[0]
    )
    return function.end_lineno - first.lineno + 1


def imports(tree, package, module):
    """Pairs of (imported module, "top" | "lazy" | "typing")."""
    found = []

    def visit(node, kind):
        for child in ast.iter_child_nodes(node):
            inner = kind
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                inner = "typing"
            elif isinstance(child, FUNCTIONS) and kind == "top":
                inner = "lazy"
            if isinstance(child, ast.Import):
                found.extend((alias.name, kind) for alias in child.names)
            elif isinstance(child, ast.ImportFrom) and child.module and not child.level:
                found.extend(
                    (f"{child.module}.{alias.name}", kind) for alias in child.names
                )
            visit(child, inner)

    visit(tree, "top")
    return found


def circles(edges):
    """Groups of modules that import each other in a circle (strongly connected components of more than one)."""
    sys.setrecursionlimit(20_000)
    graph = collections.defaultdict(set)
    for source, target in edges:
        if source != target:
            graph[source].add(target)
    number, low, stack, on_stack, groups = {}, {}, [], set(), []

    def walk(node):
        number[node] = low[node] = len(number)
        stack.append(node)
        on_stack.add(node)
        for target in graph[node]:
            if target not in number:
                walk(target)
                low[node] = min(low[node], low[target])
            elif target in on_stack:
                low[node] = min(low[node], number[target])
        if low[node] == number[node]:
            group = []
            while True:
                group.append(stack.pop())
                on_stack.discard(group[-1])
                if group[-1] == node:
                    break
            if len(group) > 1:
                groups.append(sorted(group))

    for node in list(graph):
        if node not in number:
            walk(node)
    return groups


def measure(root):
    """All figures of one package, by name."""
    root = pathlib.Path(root)
    package = root.name
    trees = {p: ast.parse(p.read_text()) for p in sorted(root.rglob("*.py"))}
    modules = {}
    for path in trees:
        parts = (package, *path.relative_to(root).with_suffix("").parts)
        modules[".".join(parts).removesuffix(".__init__")] = path
    lines = [line for path in trees for line in path.read_text().split("\n")]
    code = [line for line in lines if line.strip() and not line.strip().startswith("#")]
    nodes = [node for tree in trees.values() for node in ast.walk(tree)]
    functions = [node for node in nodes if isinstance(node, FUNCTIONS)]
    decided = [decisions(function) for function in functions]
    names = [f.name.strip("_") for f in functions if not f.name.startswith("__")]
    classes = collections.defaultdict(set)
    for path, tree in trees.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                classes[node.name].add(path)
    edges, lazy = set(), 0
    for module, path in modules.items():
        for target, kind in imports(trees[path], package, module):
            lazy += kind == "lazy"
            while target and target not in modules:
                target = target.rpartition(".")[0]
            if target and target != package:
                edges.add((module, target))
    body = sum(map(body_lines, functions)) or 1
    one_word = [n for n in names if n and "_" not in n]
    return {
        "files": len(trees),
        "lines": len(lines),
        "decisions per 100 body lines": round(100 * sum(decided) / body),
        "most decisions in a function": max(decided, default=0),
        "comprehensions per 1,000 lines": round(
            1000 * sum(isinstance(node, COMPREHENSIONS) for node in nodes) / len(code)
        ),
        "lines over 100 columns, %": round(
            100 * sum(len(line) > 100 for line in code) / len(code), 1
        ),
        "comments per 100 lines": round(
            100 * sum(line.strip().startswith("#") for line in lines) / len(code), 1
        ),
        "one-word function names, %": round(100 * len(one_word) / max(1, len(names))),
        "bare participles": sum(bool(PARTICIPLE.fullmatch(n)) for n in one_word),
        "public class names in two files": sum(
            len(where) > 1 for where in classes.values()
        ),
        "imports inside functions": lazy,
        "circles of files": len(circles(edges)),
    }


if __name__ == "__main__":
    for package in sys.argv[1:] or ["mcp_notebook"]:
        print(package)
        for name, figure in measure(package).items():
            print(f"  {figure:>7}  {name}")
