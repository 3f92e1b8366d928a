"""Rows as other languages print them: read exactly where texts are in quotes, with a
word of doubt where not.
"""

from __future__ import annotations

import pytest

from mcp_notebook.results import Reading, Table, read

ROWS = [
    {"id": 1, "name": 'O\'Neil, "Björn"', "score": 1.5, "note": None},
    {"id": 9007199254740993, "name": "a\nb", "score": -0.25, "note": "NULL"},
]
QUOTED = {
    "node": (
        '[\n  {\n    id: 1,\n    name: `O\'Neil, "Björn"`,\n    score: 1.5,\n    note: null\n  },\n'
        "  { id: 9007199254740993n, name: 'a\\n' +\n 'b', score: -0.25, note: 'NULL' }\n]"
    ),
    "ruby": (
        '[{"id"=>1, "name"=>"O\'Neil, \\"Björn\\"", "score"=>1.5, "note"=>nil}, '
        '{"id"=>9007199254740993, "name"=>"a\\nb", "score"=>-0.25, "note"=>"NULL"}]'
    ),
    "ruby, symbols": (
        '[{:id=>1, :name=>"O\'Neil, \\"Björn\\"", :score=>1.5, :note=>nil}, '
        '{:id=>9007199254740993, :name=>"a\\nb", :score=>-0.25, :note=>"NULL"}]'
    ),
    "ruby 3.4": (
        '[{id: 1, name: "O\'Neil, \\"Björn\\"", score: 1.5, note: nil}, '
        '{id: 9007199254740993, name: "a\\nb", score: -0.25, note: "NULL"}]'
    ),
    "elixir": (
        '[%{id: 1, name: "O\'Neil, \\"Björn\\"", score: 1.5, note: nil}, '
        '%{id: 9007199254740993, name: "a\\nb", score: -0.25, note: "NULL"}]'
    ),
    "rust": (
        '[Row { id: 1, name: "O\'Neil, \\"Björn\\"", score: Some(1.5), note: None }, '
        'Row { id: 9007199254740993, name: "a\\nb", score: Some(-0.25), note: Some("NULL") }]'
    ),
    "var_export": (
        "array (\n  0 => \n  array (\n    'id' => 1,\n    'name' => 'O\\'Neil, \"Björn\"',\n    'score' => 1.5,\n"
        "    'note' => NULL,\n  ),\n  1 => \n  array (\n    'id' => 9007199254740993,\n    'name' => 'a\nb',\n"
        "    'score' => -0.25,\n    'note' => 'NULL',\n  ),\n)"
    ),
    "var_dump": (
        'array(2) {\n  [0]=>\n  array(4) {\n    ["id"]=>\n    int(1)\n    ["name"]=>\n'
        '    string(16) "O\'Neil, "Björn""\n    ["score"]=>\n    float(1.5)\n    ["note"]=>\n    NULL\n  }\n  [1]=>\n'
        '  array(4) {\n    ["id"]=>\n    int(9007199254740993)\n    ["name"]=>\n    string(3) "a\nb"\n    ["score"]=>\n'
        '    float(-0.25)\n    ["note"]=>\n    string(4) "NULL"\n  }\n}\n'
    ),
    "insert": (
        'INSERT INTO "t" (id, "name", score, note) VALUES\n  (1, \'O\'\'Neil, "Björn"\', 1.5, NULL),\n'
        "  (9007199254740993, 'a\nb', -0.25, 'NULL');"
    ),
}
BARE = {
    "java": "[{id=1, name=Ada, note=null}, {id=2, name=Bo, C, note=x y}]",
    "kotlin": "[Row(id=1, name=Ada, note=null), Row(id=2, name=Bo, C, note=x y)]",
    "go map": "[map[id:1 name:Ada note:<nil>] map[id:2 name:Bo, C note:x y]]",
    "go struct": "[{id:1 name:Ada note:<nil>} {id:2 name:Bo, C note:x y}]",
    "c#": "{ id = 1, name = Ada, note =  }\n{ id = 2, name = Bo, C, note = x y }",
}


def reading(text: str, sql: str = "") -> Reading:
    """What one text block gives."""
    return read({"content": [{"type": "text", "text": text}]}, sql=sql)


def table(text: str, sql: str = "") -> Table:
    """The only table of one text block."""
    (found,) = reading(text, sql).tables
    return found


@pytest.mark.parametrize("language", QUOTED)
def test_rows_in_quotes_are_read_exactly(language: str) -> None:
    found = table(QUOTED[language])
    assert found.data.to_pylist() == ROWS
    assert not found.approximate


@pytest.mark.parametrize("language", QUOTED)
def test_what_stands_around_them_is_text(language: str) -> None:
    found = reading(f"Found 2 rows:\n{QUOTED[language]}\n")
    assert found.tables[0].data.to_pylist() == ROWS
    assert "Found 2 rows" in found.text


@pytest.mark.parametrize("language", [name for name in QUOTED if name != "insert"])
def test_a_list_that_does_not_end_gives_no_table(language: str) -> None:
    text = QUOTED[language].rstrip()
    assert not reading(text[: len(text) - 20]).tables


@pytest.mark.parametrize("language", BARE)
def test_rows_without_quotes_say_so(language: str) -> None:
    found = table(BARE[language])
    assert found.data.column_names == ["id", "name", "note"]
    assert found.data.column("name").to_pylist() == ["Ada", "Bo, C"]
    assert found.data.column("note").to_pylist() == [None, "x y"]
    assert found.approximate


def test_a_value_that_holds_a_name_gives_no_table_of_java() -> None:
    assert not reading("[{id=1, name=a, name=b}, {id=2, name=c}]").tables


def test_one_record_of_go_with_spaces_in_it_is_ambiguous() -> None:
    assert not reading("[map[id:1 name:Ada Lovelace]]").tables
    named = table("[map[id:1 name:Ada Lovelace]]", "SELECT name, id FROM t")
    assert named.data.to_pylist() == [{"name": "Ada Lovelace", "id": 1}]


def test_what_node_leaves_out_is_said() -> None:
    found = table("[ { id: 1 }, { id: 2 }, ... 98 more items ]")
    assert (found.data.num_rows, found.total_rows) == (2, 100)
    assert found.truncated


def test_print_r_says_that_it_tells_nothing_from_null() -> None:
    text = (
        "Array\n(\n    [0] => Array\n        (\n            [id] => 1\n            [name] => Ada\n        )\n\n"
        "    [1] => Array\n        (\n            [id] => 2\n            [name] => \n        )\n\n)\n"
    )
    found = table(text)
    assert found.data.to_pylist() == [{"id": 1, "name": "Ada"}, {"id": 2, "name": None}]
    assert found.approximate


def test_console_table_writes_texts_as_javascript_does() -> None:
    text = (
        "┌─────────┬────┬─────────────┐\n│ (index) │ id │ txt         │\n├─────────┼────┼─────────────┤\n"
        "│ 0       │ 1  │ 'a\\nb'      │\n│ 1       │ 2  │ \"it''s\"     │\n└─────────┴────┴─────────────┘"
    )
    assert table(text).data.column("txt").to_pylist() == ["a\nb", "it''s"]


def test_json_among_prose_stays_jsons() -> None:
    found = reading('Rows:\n\n[\n  {"id": 1, "txt": "\\ud83c\\udf89"}\n]')
    assert found.reader == "json in text"
    assert found.tables[0].data.to_pylist() == [{"id": 1, "txt": "🎉"}]


def test_toml_tables_and_inline_tables() -> None:
    rows = [{"id": 1, "name": "a"}, {"id": 2, "name": None}]
    assert (
        table('[[rows]]\nid = 1\nname = "a"\n\n[[rows]]\nid = 2\n').data.to_pylist()
        == rows
    )
    assert (
        table(
            'rows = [\n  { id = 1, name = "a" },\n  { id = 2 },\n]\n'
        ).data.to_pylist()
        == rows
    )


def test_a_latex_tabular() -> None:
    text = (
        "\\begin{tabular}{ll}\n\\toprule\n id & name \\\\\n\\midrule\n 1 & a\\_b \\& c \\\\\n 2 & 50\\% \\\\\n"
        "\\bottomrule\n\\end{tabular}"
    )
    assert table(text).data.to_pylist() == [
        {"id": 1, "name": "a_b & c"},
        {"id": 2, "name": "50%"},
    ]


def test_a_line_break_in_a_drawn_table_of_one_column_is_said() -> None:
    found = table("+------+\n| note |\n+------+\n| a    |\n| b    |\n+------+")
    assert any("`note`" in note for note in found.notes)


@pytest.mark.parametrize(
    "prose",
    [
        "[Note] array ( 0 => something",
        "Use INSERT INTO t (a, b) VALUES (...) to add rows.",
        "{ id = 1 } means nothing here",
        "Array\n(\n)\n",
        "map[a:1 b:2]",
        "\\begin{itemize}\\item a\\end{itemize}",
        "The struct is Row { id: 1, name: x }.",
    ],
)
def test_prose_of_programmers_is_no_table(prose: str) -> None:
    assert not reading(prose).tables
