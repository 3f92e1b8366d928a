"""Masked columns: no statement of a stranger gets a value back, and what counts still counts."""

import base64
import json
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from mcp import Client

from mcp_notebook.sharing.masks import Masks
from mcp_notebook.sharing.notebook_server import build_notebook_server
from mcp_notebook.sharing.query import SqlRunner, run_local_query
from tests.sharing.notebooks import Notebook

SECRETS = ("ada@example.org", "bob@example.org", "31337")
MASK = ["e*mail", "pin"]


def people() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": [1, 2, 3, 4],
            "Email": [SECRETS[0], SECRETS[1], SECRETS[0], None],
            "pin": [31337, 4242, 31337, 1],
            "team": ["a", "b", "a", "b"],
            "more": [
                json.dumps({"pin": 31337, "k": [{"email": SECRETS[1]}]}),
                "plain",
                None,
                "[1]",
            ],
            "nested": [
                {"pin": 31337, "ok": 1},
                None,
                {"pin": None, "ok": 2},
                {"pin": 5, "ok": 3},
            ],
        }
    )


def served(notebook: Notebook, runner: SqlRunner, form: Any = "json") -> Client:
    return Client(
        build_notebook_server(
            notebook.catalog, form=form, runner=runner, mask=lambda: MASK
        )
    )


async def asked(client: Client, sql: str) -> Any:
    result = await client.call_tool("query", {"sql": sql})
    assert not result.is_error, result.content[0].text
    return result.structured_content


@pytest.mark.parametrize(
    "sql",
    [
        "select * from people",
        "select Email as e, lower(Email) as l, substr(Email, 1, 1) as s, length(Email) as n from people",
        "select ascii(Email), md5(Email), Email || 'x', regexp_extract(Email, '.*@') from people",
        "select list(Email), string_agg(Email), min(Email), max(pin), arg_max(pin, id), mode(pin) from people",
        "select people, struct_pack(a := pin), to_json(people), row(Email) from people",
        "select count(*) from people where Email like 'ada%'",
        "select id from people where pin = '31337' or pin::varchar like '313%'",
        "select a.id from people a join (values ('ada@example.org')) v(x) on a.Email = v.x",
        "select more, json_extract(more, '$.pin'), nested, nested.pin from people",
        "summarize people",
        "from people order by Email",
        "select unnest([Email, pin]) from people",
        "with t as (select Email e from people) select e from t",
        "select COLUMNS('.*ail') from people",
        "select * from people union all by name select 9 as id, 'z' as team",
    ],
)
async def test_no_expression_gets_a_masked_value_back(sql: str, runner: SqlRunner):
    """Not renamed, cut, hashed, compared, aggregated, nor out of a struct or a JSON text."""
    async with served(Notebook(people=people()), runner) as client:
        result = await client.call_tool("query", {"sql": sql})
    said = json.dumps(result.structured_content) + result.content[0].text
    assert not any(secret in said for secret in SECRETS)
    if not result.is_error and "where" in sql:
        assert result.structured_content["rows"] in ([], [[0]])


async def test_what_counts_still_counts(runner: SqlRunner):
    """Nulls stay null, equal values are equal within the table, and the answer says
    what stands there.
    """
    async with served(Notebook(people=people()), runner) as client:
        counted = await asked(
            client,
            "select count(Email), count(distinct Email), count(distinct pin) from people",
        )
        grouped = await asked(
            client, "select count(*) as n from people group by pin order by n"
        )
        joined = await asked(
            client, "select count(*) from people a join people b on a.pin = b.pin"
        )
        shown = await asked(
            client, "select Email as renamed from people where Email is not null"
        )
        plain = await asked(client, "select team from people")
    assert counted["rows"] == [[3, 2, 3]]
    assert grouped["rows"] == [[1], [1], [2]]
    assert joined["rows"] == [[6]]
    assert "renamed: masked, tokens stand in place of the values" in shown["notice"]
    assert "notice" not in plain


async def test_tokens_agree_within_a_table_and_not_between_tables(runner: SqlRunner):
    """A table of guesses that a model brings in under the same name does not tell which
    guess is right.
    """
    guesses = pd.DataFrame({"guess": ["31337", "4242"], "pin": [31337, 4242]})
    async with served(Notebook(people=people(), guesses=guesses), runner) as client:
        joined = await asked(client, "select * from people join guesses using (pin)")
        first = await asked(client, "select pin from people order by id")
        again = await asked(client, "select pin from people order by id")
    assert joined["rows"] == []
    assert first["rows"] == again["rows"]


async def test_a_result_that_carries_tokens_stays_masked_under_any_name(
    runner: SqlRunner,
):
    """What a query gave is a table with tokens: querying that table shows no more."""
    notebook = Notebook(people=people())
    masks = Masks(tuple(MASK))
    answer = await runner.query(
        notebook.catalog, "select id, Email as contact, pin from people", masks=masks
    )
    notebook.variables["derived"] = answer.data.to_pandas()
    notebook.catalog.add("derived")
    back = await runner.query(
        notebook.catalog,
        "select count(*) as n from derived d join people p on d.contact = p.Email",
        masks=masks,
    )
    assert all(
        str(value).startswith("masked:")
        for value in notebook.variables["derived"]["contact"].dropna()
    )
    assert back.data.to_pylist() == [{"n": 5}]


async def test_listings_descriptions_profiles_and_resources_are_masked_too(
    runner: SqlRunner,
):
    """Every way out of the server, and each says that the column is masked."""
    async with served(Notebook(people=people()), runner) as client:
        base = "notebook://tables/people"
        listed = (await client.call_tool("list_tables", {})).content[0].text
        described = await client.call_tool("describe_table", {"table": "people"})
        profiled = await client.call_tool("profile_table", {"table": "people"})
        schema = (await client.read_resource(base)).contents[0].text
        csv = (await client.read_resource(f"{base}/rows.csv")).contents[0].text
        blob = (await client.read_resource(f"{base}/rows.arrow")).contents[0].blob
        prompt = await client.get_prompt("explore_table", {"table": "people"})
    arrow = str(pa.ipc.open_file(base64.b64decode(blob)).read_all().to_pylist())
    said = [listed, str(described), str(profiled), schema, csv, arrow, str(prompt)]
    assert not [secret for secret in SECRETS for text in said if secret in text]
    assert "Email string (masked)" in listed or "Email large_string (masked)" in listed
    assert [row[3] for row in described.structured_content["rows"]] == [
        False,
        True,
        True,
        False,
        False,
        False,
    ]
    assert [c["name"] for c in json.loads(schema)["columns"] if c.get("masked")] == [
        "Email",
        "pin",
    ]
    assert "(masked)" in prompt.messages[0].content.text


async def test_an_error_over_a_masked_column_says_that_it_is_masked(runner: SqlRunner):
    """A mean of tokens is no mean; the model is told what works."""
    async with served(Notebook(people=people()), runner) as client:
        result = await client.call_tool("query", {"sql": "select avg(pin) from people"})
    assert result.is_error
    assert (
        "pin: masked, its values are text tokens here; count and GROUP BY work"
        in result.content[0].text
    )


async def test_a_mask_that_is_set_later_holds_from_the_next_query_on(runner: SqlRunner):
    """The table that the worker was given before is not used again."""
    notebook, patterns = Notebook(people=people()), []
    async with Client(
        build_notebook_server(
            notebook.catalog, form="json", runner=runner, mask=lambda: patterns
        )
    ) as c:
        before = await asked(c, "select pin from people")
        patterns.append("pin")
        after = await asked(c, "select pin from people")
    assert before["rows"][0] == [31337]
    assert "31337" not in str(after["rows"])


def test_the_persons_own_sql_sees_the_values():
    """Masks are for models and for clients outside."""
    rows = run_local_query(
        Notebook(people=people()).catalog, "select max(pin) as pin from people"
    ).to_pylist()
    assert rows == [{"pin": 31337}]


@pytest.mark.parametrize(
    "values",
    [
        pa.array([[1, 2], None, [3]]),
        pa.array(["x", None, "y"]).dictionary_encode(),
        pa.array([b"x", None, b"y"]),
        pa.array([None, None, None]),
        pa.array([1.5, None, float("nan")]),
        pa.chunked_array([["x"], [None, "y"]]).combine_chunks(),
        pa.array([{"a": 1}, None, {"a": 2}]),
    ],
    ids=lambda values: str(values.type),
)
def test_a_masked_column_of_any_type_is_text_tokens_and_nulls(values: pa.Array):
    """Lists, structs, categories, bytes and numbers alike."""
    table = Masks(("c",)).apply(pa.table({"c": values}), "t")
    assert table.schema.field("c").type == pa.string()
    for before, after in zip(
        values.to_pylist(), table.column("c").to_pylist(), strict=True
    ):
        assert (after is None) if before is None else after.startswith("masked:")


def test_maps_and_lists_of_structs_hide_the_field():
    """Wherever the name stands as a key."""
    table = pa.table(
        {
            "m": pa.array(
                [[("pin", "secret"), ("k", "seen")]], pa.map_(pa.string(), pa.string())
            ),
            "l": [[{"pin": "secret", "k": "seen"}]],
        }
    )
    hidden = str(Masks(("pin",)).apply(table, "t").to_pylist())
    assert "secret" not in hidden
    assert hidden.count("seen") == 2


def test_a_second_column_of_a_masked_name_is_masked():
    """pandas allows two columns of one name; SQL sees the second as email_2."""
    frame = pd.DataFrame([["a", "b"]], columns=["email", "email"])
    notebook = Notebook(t=frame)
    assert Masks(("email",)).columns(["email", "email_2", "gmail_2"]) == (
        "email",
        "email_2",
    )
    assert run_local_query(notebook.catalog, "select email_2 from t").to_pylist() == [
        {"email_2": "b"}
    ]
