"""Servers as Python objects: methods made of the tools' own descriptions, in plain
Python without a notebook.
"""

import datetime
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pytest

import mcp_notebook
from mcp_notebook.errors import CallError, ConfigError, DataError, SessionError
from mcp_notebook.notebook import current, output
from mcp_notebook.sessions import registry
from tests.servers.library import build as build_library
from tests.servers.office import build

OFFICE = Path(__file__).parents[1] / "servers" / "office.py"


@pytest.fixture
def office(state):
    return mcp_notebook.connect("office", build())


def test_a_method_gives_a_dataframe_that_says_where_it_comes_from(office):
    people = office.list_people(status="left", limit=2)
    assert people.name.tolist() == ["Ána", "Bo"]
    assert people.attrs["mcp"]["tool"] == "list_people"
    assert people.attrs["mcp"]["arguments"] == {"status": "left", "limit": 2}


def test_a_text_is_a_text(office):
    assert office.motto() == "We open at nine."


def test_a_methods_signature_and_words_are_those_of_the_tool(office):
    signature = inspect.signature(office.list_people)
    assert list(signature.parameters) == ["status", "limit"]
    assert signature.parameters["status"].annotation == Literal["active", "left"]
    assert signature.parameters["limit"].default == 10
    text = office.list_people.__doc__
    assert text.startswith("The people of the office.")
    assert (
        "status : string, optional, default 'active', one of 'active', 'left'" in text
    )
    assert "It says that it only reads." in text
    assert "does not say" in office.add_note.__doc__


def test_names_that_python_cannot_write(office):
    assert office["get-rooms.v2"](floor=3).room.tolist() == ["R301", "R302"]
    assert office.get_rooms_v2({"floor": 1}).seats.tolist() == [2, 4]


def test_tab_offers_the_tools(office):
    tools = {"add_note", "get_rooms_v2", "list_people", "motto", "report"}
    own = {"aio", "call", "close", "name", "prompts", "resources", "tools"}
    assert set(dir(office)) == {*tools, *own}
    assert "get-rooms.v2" in office._ipython_key_completions_()
    assert "list_people(status: Literal['active', 'left'] = 'active'" in repr(office)


def test_arguments_by_place_and_pythons_own_kinds_of_values(office):
    assert len(office.list_people("left", np.int64(1))) == 1
    assert office["get-rooms.v2"](np.int32(2)).room.tolist() == ["R201", "R202"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            lambda o: o.list_people(stats="left"),
            "no argument 'stats'. Did you mean 'status'",
        ),
        (lambda o: o.add_note(), "add_note needs text"),
        (lambda o: o.add_note("a", "b"), "takes 1 arguments, and 2 were given"),
        (lambda o: o.add_note("a", text="b"), "given 'text' twice"),
        (lambda o: o.add_note(text=pd.DataFrame()), "text is a table"),
        (lambda o: o.add_note(text=object()), "JSON cannot carry"),
        (lambda o: o["nope"], "office has no tool 'nope'"),
    ],
)
def test_what_cannot_be_right_is_one_sentence(office, given, words):
    with pytest.raises(ConfigError, match=words.replace("(", r"\(")):
        given(office)


def test_an_unknown_tool_is_an_attribute_error_with_a_guess(office):
    with pytest.raises(AttributeError, match="Did you mean 'list_people'"):
        _ = office.list_peple
    assert not hasattr(office, "_repr_png_")


def test_a_tools_own_refusal_is_an_error(office):
    with pytest.raises(CallError, match=r"office\.list_people"):
        office.list_people({"limit": "many"})


def test_dates_and_sets_go_as_json_has_them():
    from mcp_notebook.notebook.servers import plain

    day = datetime.date(2026, 1, 2)
    assert plain({"d": day, "s": (day,), "n": np.array([1.5])}, "x") == {
        "d": "2026-01-02", "s": ["2026-01-02"], "n": [1.5],
    }  # fmt: skip


def test_a_call_by_name_and_all_its_tables(office):
    assert mcp_notebook.call("office.list_people", {"limit": 1}).name.tolist() == [
        "Ána"
    ]
    first, second = mcp_notebook.call("office.report", tables=True)
    assert (first.b.tolist(), second.total.tolist()) == (["x", "y"], [3, 4])
    assert mcp_notebook.call("office.motto", tables=True) == []


def test_a_resource(office):
    assert mcp_notebook.resource("office", "data://desks.csv").desk.tolist() == [
        "D1",
        "D2",
    ]


def test_sql_over_tables_that_are_named(office):
    people = office.list_people()
    rooms = pd.DataFrame({"country": ["Spain", "Japan"], "n": [1, 2]})
    joined = mcp_notebook.sql(
        "select name, n from p join rooms using (country) order by n",
        p=people,
        rooms=rooms,
    )
    assert joined.values.tolist() == [["Ána", 1], ["Cy", 2]]
    assert len(mcp_notebook.sql("from rooms", rooms=rooms, limit=1)) == 1
    with pytest.raises(DataError, match=r"no table 'people'.*Name the tables"):
        mcp_notebook.sql("select * from people")


def test_every_call_is_in_the_log(office, state):
    office.list_people()
    mcp_notebook.sql("select 1 as one")
    assert state.ledger.frame()[["server", "tool", "outcome"]].values.tolist() == [
        ["office", "list_people", "ok"], ["notebook", "query", "ok"],
    ]  # fmt: skip


async def test_the_same_with_await(office):
    people = await office.aio.list_people(limit=2)
    assert len(people) == 2
    assert await mcp_notebook.acall("office.motto") == "We open at nine."
    assert (
        await mcp_notebook.asql("select count(*) as n from people", people=people)
    ).n[0] == 2
    assert (
        await (await mcp_notebook.aconnect("second", build())).aio.motto()
    ) == "We open at nine."


async def test_without_await_it_works_where_a_loop_runs(office):
    assert len(office.list_people()) == 3


def test_an_unknown_server_or_option_is_one_sentence(state):
    with pytest.raises(SessionError, match="there is no server 'nope'"):
        mcp_notebook.server("nope")
    with pytest.raises(ConfigError, match="no option 'header'"):
        mcp_notebook.connect("x", "uvx y", header={})


def test_what_a_server_offers_besides_its_tools(office, state):
    assert office.name == "office"
    assert "get-rooms.v2" in office.tools
    assert office.call("motto", {}) == "We open at nine."
    office.close()
    assert state.sessions.names() == []


def test_the_object_of_a_server_that_is_gone_says_so(office, state):
    current.run(state, state.sessions.disconnect("office"))
    assert not hasattr(office, "columns")
    with pytest.raises(SessionError, match="there is no server 'office'"):
        office.motto()


def test_the_subpackage_of_the_same_name_is_still_a_module(office):
    import mcp_notebook.sharing.catalog as catalog

    assert mcp_notebook.server("office").motto() == "We open at nine."
    assert catalog.__name__ == "mcp_notebook.sharing.catalog"


@pytest.mark.slow
def test_in_a_script_the_servers_end_with_it(tmp_path: Path):
    (tmp_path / "s.py").write_text(
        "import sys, mcp_notebook\n"
        "mcp_notebook.settings.tool_timeout = 30\n"
        f"office = mcp_notebook.connect('office', [sys.executable, {str(OFFICE)!r}])\n"
        "print(office.list_people().shape, mcp_notebook.server('office').motto())\n"
    )
    done = subprocess.run(
        [sys.executable, "s.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.strip() == "(3, 3) We open at nine.", done.stderr
    assert done.returncode == 0


def test_resources_and_prompts_are_listed_and_read_by_the_servers_object(state):
    library = mcp_notebook.connect("library", build_library())
    uris = [row["uri"] for row in library.resources]
    assert "data://orders.csv" in uris
    assert library.resources._ipython_key_completions_() == uris
    assert len(library.resources["data://orders.csv"]) > 0
    assert "How totals are counted" in repr(library.resources)
    assert library.prompts._ipython_key_completions_() == ["report", "look"]
    text = library.prompts("report", country="Peru")
    assert "Write a short report on Peru" in text
    assert {"resources", "prompts"} <= set(dir(library))
    with pytest.raises(ConfigError, match="has no prompt 'nope'"):
        library.prompts("nope")


def test_tools_are_filtered_by_words_after_the_server(state, office, capsys):
    total = len(list(office))
    output.show_tools(state, ["office", "People"])
    assert f"1 of {total} tools hold people." in capsys.readouterr().out
    output.show_tools(state, ["motto"])
    assert f"1 of {total} tools hold motto." in capsys.readouterr().out
    with pytest.raises(SessionError, match="did you mean 'office'"):
        output.show_tools(state, ["ofice"])


def test_a_reply_is_bounded_by_the_free_memory(monkeypatch):
    monkeypatch.setattr(registry, "_free_memory", lambda: 1 << 30)
    assert registry.bound_reply(256 << 20) == 128 << 20
    assert registry.bound_reply(64 << 20) == 64 << 20
    monkeypatch.setattr(registry, "_free_memory", lambda: 1 << 20)
    assert registry.bound_reply(256 << 20) == registry.LEAST_REPLY
    monkeypatch.setattr(registry, "_free_memory", lambda: None)
    assert registry.bound_reply(256 << 20) == 256 << 20


def test_a_reply_of_more_than_16_mb_is_a_table(state, tmp_path):
    words = ["python", "-S", str(OFFICE.with_name("misbehaving.py")), "ok"]
    big = mcp_notebook.connect("big", words)
    result = big.t(do="big", size=20_000_000)
    assert len(str(result)) >= 20_000_000
