"""What is written down: exact arguments, the names of the notebook, forms that people
would write.
"""

import ast
import json
import re
import subprocess
import sys

import nbformat
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_notebook.config import ConnectOptions
from mcp_notebook.freeze.call_log import Facts
from mcp_notebook.freeze.sealing import Sealer, fold_literal, literal, quote_text
from mcp_notebook.freeze.writer import Style, document
from tests.freeze.trails import QUERY, Made

ODD = [
    "select 'it''s' as \"a\" from t where x like '%d%%' and y = '{braces} ${VAR} $x'",
    "select 1\nfrom t\nwhere a = '\\d+\\n'",
    "select \"\"\"three\"\"\" , '''three'''\nfrom t",
    "select 'ends with a quote\"\n\"'",
    "select 'naïve 日本 🎈\u200b\u202e' as \"größe\"",
    "select\t1\r\nfrom t\x0cwhere \x00 = '\x1b'",
    "select '\u2028\u2029\x85' from t\n",
    "  \n select 1 ?",
    "%%bash\nrm -rf",
    "!ls\n%cd x\nselect 1",
    ">>> select 1",
    "In [1]: select 1",
    "select '\ud800'",
    "?select",
]


def statements(source: str) -> list[ast.stmt]:
    return ast.parse(source).body


def argument(source: str, function: str) -> dict[str, object]:
    """The arguments of the first call of a function, as Python reads them."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == function:
            given = {k.arg: ast.literal_eval(k.value) for k in node.keywords if k.arg}
            return given | dict(
                enumerate(
                    ast.literal_eval(a)
                    for a in node.args
                    if not isinstance(a, ast.Name)
                )
            )
    raise AssertionError(f"no call of {function} in\n{source}")


@pytest.fixture
def made() -> Made:
    notebook = Made()
    notebook.ask("one", "How many orders?")
    return notebook


@pytest.mark.parametrize("sql", ODD)
def test_an_argument_is_written_exactly_in_a_script(made, sql):
    made.query(sql, "orders")
    assert argument(made.script("orders"), "shop.query_database")["sql"] == sql


@pytest.mark.parametrize("sql", ODD)
def test_an_argument_is_written_exactly_in_a_notebook(made, sql):
    """In a cell magic only white space around a statement may go, as it does when the
    magic runs it.
    """
    from IPython.core.inputtransformer2 import TransformerManager

    made.query(sql, "orders")
    cell = made.cells("orders")[-1].source
    if not cell.startswith("%%mcp_sql"):
        assert argument(cell, "shop.query_database")["sql"] == sql
        return
    call = ast.parse(TransformerManager().transform_cell(cell)).body[0].value
    name, line, body = [a.value for a in call.args]
    assert (name, line, body.strip()) == ("mcp_sql", "shop --into orders", sql.strip())


def test_sql_is_a_magic_in_a_notebook_and_a_method_in_a_script(made):
    made.query("select 1", "orders")
    assert made.cells("orders")[-1].source == "%%mcp_sql shop --into orders\nselect 1"
    assert 'orders = shop.query_database(sql="select 1")' in made.script("orders")


def test_the_other_sql_tool_of_a_server_is_named(made):
    made.call("execute", {"sql": "select 1"}, "a", facts=Facts(reads=True, sql="sql"))
    assert made.cells("a")[-1].source.startswith(
        "%%mcp_sql shop --into a --tool execute\n"
    )


def test_a_query_with_further_arguments_is_python(made):
    made.call("query_database", {"sql": "select 1", "limit": 5}, "a")
    assert (
        'a = shop.query_database(sql="select 1", limit=5)' in made.cells("a")[-1].source
    )


def test_names_that_python_cannot_write_go_in_a_dict_and_in_brackets(made):
    made.call(
        "get-rows.v2", {"from": "2026", "max-rows": 5}, "a", facts=Facts(reads=True)
    )
    assert 'a = shop["get-rows.v2"]({"from": "2026", "max-rows": 5})' in made.script(
        "a"
    )


def test_the_names_of_the_notebook_are_kept(made):
    made.query("select 1", "sales_by_month", into="by_month")
    assert made.cell("by_month").endswith(
        'by_month = shop.query_database(sql="select 1")'
    )


def test_another_name_that_code_uses_is_kept_too(made):
    made.query("select 1", "sales_by_month", into="by_month")
    made.code.append("sales_by_month.plot()")
    assert made.cell("by_month").endswith("sales_by_month = by_month")


def test_a_call_made_again_under_another_name_is_written_once(made):
    made.query("select 1", "sales_by_month")
    made.own("select * from sales_by_month", "n")
    made.query("select 1", "by_month", cell="")
    source = made.script("n", "by_month")
    assert source.count("shop.query_database") == 1
    assert 'by_month = shop.query_database(sql="select 1")' in source
    assert "sales_by_month=by_month" in source


def test_sql_over_earlier_results_names_them(made):
    made.query("select 1", "orders", into="o")
    made.own("select count(*) from orders", "n")
    assert (
        'n = mcp_notebook.sql("select count(*) from orders", orders=o)'
        in made.script("n")
    )


def test_sql_over_the_notebooks_tables_is_a_magic_where_the_names_are_the_same(made):
    made.query("select 1", "orders")
    made.own("select count(*) from orders", "n")
    assert [c.source for c in made.cells("n")][-2:] == [
        "%%mcp_sql shop --into orders\nselect 1",
        "%%mcp_sql notebook --into n\nselect count(*) from orders",
    ]


def test_several_tables_of_one_call_are_all_named(made):
    made.call("report", {"year": 2026}, "head", "lines", facts=Facts(reads=True))
    assert (
        'head, lines = mcp_notebook.call("shop.report", {"year": 2026}, tables=True)'
        in made.script("head")
    )


def test_a_servers_object_takes_no_tables_name(made):
    made.query("select 1", "shop")
    made.connect("my-db", "uvx", "some-server")
    made.call("q", {"sql": "select 1"}, "class_", server="my-db", facts=QUERY)
    source = made.script("shop", "class_")
    assert "shop_server = mcp_notebook.connect" in source
    assert 'shop = shop_server.query_database(sql="select 1")' in source
    assert "my_db = mcp_notebook.connect" in source


def test_a_servers_object_takes_no_variable_of_the_open_notebook(made):
    made.query("select 1", "orders")
    assert 'shop_server = mcp_notebook.server("shop")' in made.cell(
        "orders", reserved=("shop",)
    )


def test_each_server_is_connected_once_and_first(made):
    made.connect(
        "web", "https://example.com/mcp", headers=("Authorization: Bearer ${TOKEN}",)
    )
    made.call("list_issues", {}, "issues", server="web", facts=Facts(reads=True))
    made.query("select 1", "orders")
    setup = made.cells("issues", "orders")[1].source
    assert setup.splitlines()[-3:] == [
        "%mcp_connect web --header 'Authorization: Bearer ${TOKEN}' https://example.com/mcp",
        "%mcp_connect shop mcp-notebook serve database --url sqlite:///shop.db",
        'web = mcp_notebook.server("web")',
    ]
    assert 'headers={"Authorization": "Bearer ${TOKEN}"}' in made.script(
        "issues", "orders"
    )


def test_a_server_that_was_connected_otherwise_between_calls_is_connected_again(made):
    made.query("select 1", "old")
    made.connect(
        "shop", "mcp-notebook", "serve", "database", "--url", "sqlite:///other.db"
    )
    made.query("select 1", "new")
    source = made.script("old", "new")
    assert (
        source.index("shop.db")
        < source.index("old =")
        < source.index("other.db")
        < source.index("new =")
    )


def test_in_the_open_notebook_a_connected_server_needs_no_line(made):
    made.query("select 1", "orders")
    assert 'shop = mcp_notebook.server("shop")' in made.cell("orders")
    assert "mcp_notebook.connect(" in made.cell("orders", connected=())


def test_options_of_the_connection_are_kept(made):
    made.connect(
        "db",
        "uvx",
        "x y",
        env=("PGPASSWORD",),
        allow=("read_*",),
        cwd="sub",
        timeout=90.0,
        legacy=True,
    )
    made.call("q", {"a": 1}, "t", server="db", facts=Facts(reads=True))
    line = next(
        s
        for s in made.cells("t")[1].source.splitlines()
        if s.startswith("%mcp_connect")
    )
    parsed = ConnectOptions.from_line(line.removeprefix("%mcp_connect "))
    assert parsed == made.trail.routes["db"]
    source = made.script("t")
    for piece in (
        'allow=["read_*"]',
        'env=["PGPASSWORD"]',
        'cwd="sub"',
        "timeout=90.0",
        "legacy=True",
    ):
        assert piece in source


def test_a_server_whose_name_is_a_word_of_python_has_a_variable(made):
    made.connect("if", "uvx", "x")
    made.call("q", {"a": 1}, "t", server="if", facts=Facts(reads=True))
    assert 'if_server = mcp_notebook.connect("if", "uvx x")' in made.script("t")


def test_a_server_of_a_file_is_connected_from_it(made):
    made.connect("db", config="servers.json")
    made.call("q", {"a": 1}, "t", server="db", facts=Facts(reads=True))
    assert "%mcp_connect --config servers.json db" in made.cells("t")[1].source
    assert 'mcp_notebook.connect("db", config="servers.json")' in made.script("t")


def test_a_commented_call_says_why_and_no_line_of_it_runs(made):
    made.call("write", {"text": "a\nb = 1\nimport os"}, "t", facts=Facts())
    made.query("select 1", "orders")
    block = made.script(cells=("one",)).partition("# Not run: ")[2]
    assert "--include-writes" in block
    assert [type(s).__name__ for s in statements(made.script(cells=("one",)))] == [
        "Import",
        "Assign",
        "Assign",
    ]


def test_the_question_is_a_comment_and_the_models_words_only_when_asked_for(made):
    made.trail.runs[
        "one"
    ].words = "There are **40**.\n<img src='https://evil.example/x'>"
    made.query("select 1", "orders")
    assert "# Asked: How many orders?" in made.script("orders")
    assert "40" not in made.script("orders")
    assert "# | There are **40**." in made.script("orders", answers=True)
    words = made.cells("orders", answers=True)[2].source
    assert words.endswith(
        "```text\nThere are **40**.\n<img src='https://evil.example/x'>\n```"
    )
    assert "not code" in words


def test_words_cannot_leave_their_fence_or_their_comment(made):
    made.trail.runs["one"].prompt = "````\n```text\n%%bash\nimport os"
    made.trail.runs["one"].words = "fine\r\nimport os\x0bos.system('x')\u2028y"
    made.query("select 1", "orders")
    assert made.cells("orders")[2].source.startswith("Asked:\n\n`````text\n````\n")
    assert len(statements(made.script("orders", answers=True))) == 3


def test_a_check_follows_each_table(made):
    frame = pd.DataFrame({"it's": [1, 2], 'a "q"\n': ["x", None]})
    made.query("select 1", "orders", frames=(frame,))
    source = made.script("orders", checks=True)
    assert argument(source, "mcp_notebook.check")["columns"] == {
        "it's": "int64",
        'a "q"\n': "str",
    }
    assert argument(source, "mcp_notebook.check")["rows"] == 2
    assert "strict=False" in made.script(
        "orders", checks=True, style=Style(strict=False)
    )
    assert made.cells("orders", checks=True)[-1].source.startswith(
        "mcp_notebook.check("
    )


def test_a_check_holds_the_rows_as_they_came_whatever_was_done_to_them_since(made):
    made.query("select 1", "orders")
    before = made.script("orders", checks=True)
    made.namespace["orders"].loc[0, "n"] = 99
    made.namespace["orders"]["more"] = 1
    assert made.script("orders", checks=True) == before


def test_a_table_that_is_gone_has_no_check_and_says_so(made):
    made.query("select 1", "orders")
    made.own("select * from orders", "n")
    del made.namespace["orders"]
    source = made.script("n", checks=True)
    assert "# Not checked" in source
    assert source.count("mcp_notebook.check(") == 1


def test_columns_that_hide_their_values_leave_no_trace_in_a_check(made):
    made.query(
        "select 1",
        "u",
        frames=(pd.DataFrame({"password": ["x"], "Email": ["y"], "n": [1]}),),
    )
    source = made.script("u", checks=True, mask=("email",))
    assert argument(source, "mcp_notebook.check")["ignore"] == ["password", "Email"]
    other = Made()
    other.ask("one", "How many orders?")
    other.query(
        "select 1",
        "u",
        frames=(pd.DataFrame({"password": ["zz"], "Email": ["q"], "n": [1]}),),
    )
    assert other.script("u", checks=True, mask=("email",)) == source


def test_a_cut_result_says_so(made):
    made.query("select 1", "orders", truncated="10,000 of 20,312 rows")
    assert "# The server cut the result: 10,000 of 20,312 rows" in made.script("orders")


def test_a_table_of_the_persons_own_is_named_and_shared(made):
    made.namespace["mine"] = pd.DataFrame({"a": [1]})
    made.own("select * from mine", "doubled")
    assert "# mine is a table of your own code" in made.script("doubled")
    assert any(c.source.endswith("%mcp_share mine") for c in made.cells("doubled"))


def test_the_notebook_file_is_valid_and_the_same_each_time(made):
    made.query("select 'é\u2028'", "orders")
    text = document(made.cells("orders", checks=True))
    assert text == document(made.cells("orders", checks=True))
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    assert [c.source for c in notebook.cells] == [
        c.source for c in made.cells("orders", checks=True)
    ]


def test_a_huge_statement_is_written_whole(made):
    sql = "select " + ", ".join(f"'{i}' as c{i}" for i in range(20_000))
    made.query(sql, "wide")
    assert argument(made.script("wide"), "shop.query_database")["sql"] == sql


def test_a_long_line_folds_at_its_clauses():
    sql = (
        "SELECT a, count(*) FROM t LEFT JOIN u USING (id) WHERE a > 1 GROUP BY a ORDER BY count(*) DESC LIMIT 5 "
        * 2
    )
    lines = fold_literal(sql).splitlines()
    assert len(lines) > 6
    assert all(len(line) < 120 for line in lines)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300))
def test_any_text_is_read_back_exactly(value):
    assert ast.literal_eval(quote_text(value)) == value
    assert ast.literal_eval(fold_literal(value)) == value


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("abcxyz \"'\n", max_size=5), inner, max_size=3)
    ),
    max_leaves=10,
)


@settings(max_examples=200, deadline=None)
@given(_JSON)
def test_any_arguments_are_read_back_exactly(value):
    assert ast.literal_eval(literal(value, Sealer({}), "x")) == value


def test_what_is_written_is_tidy_python(made, tmp_path):
    made.query(ODD[0] * 3, "orders")
    made.call(
        "find",
        {"filter": {"a": [1, {"b": None}], "long": "x" * 120}, "n": 1.5},
        "found",
        facts=Facts(reads=True),
    )
    made.own("select * from orders", "n")
    file = tmp_path / "frozen.py"
    file.write_text(made.script("orders", "found", "n", checks=True))
    command = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--isolated",
        "--select",
        "E4,E7,E9,F,I",
        str(file),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


def test_nothing_of_the_run_but_the_chosen_is_in_the_file(made):
    made.query("select 'left out'", "unused")
    made.query("select 1", "orders", into="o")
    assert "left out" not in json.dumps([c.source for c in made.cells(cells=("one",))])
    assert not re.search("c0", made.script(cells=("one",)))
