"""The list of readers: its order has reasons, and a package adds readers of its own."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

import mcp_notebook
from mcp_notebook.results import read, readers

PACKAGE = Path(__file__).parent / "reader_package"
ACME = "ACME id;name\n> 1;Ada\n> 2;Bob"
RUBY = '[{"id"=>1, :name=>"Ada"}]'


def result(text: str) -> dict[str, object]:
    return {"content": [{"type": "text", "text": text}]}


def names() -> list[str]:
    return [reader.name for reader in readers.all_readers()]


@pytest.fixture(autouse=True)
def _fresh_readers() -> Iterator[None]:
    readers.all_readers.cache_clear()
    yield
    readers.all_readers.cache_clear()


@pytest.fixture
def acme(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The company's package is installed; the warnings that its broken entries bring."""
    monkeypatch.syspath_prepend(str(PACKAGE))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        readers.all_readers()
    return [str(warning.message) for warning in caught]


def test_the_order_of_the_readers_is_this() -> None:
    assert names() == [
        "code",
        "records without quotes",
        "insert statements",
        "php",
        "lines of one column",
        "latex",
        "toml",
        "html",
        "wiki",
        "markdown",
        "boxed table",
        "aligned table",
        "row lines",
        "vertical",
        "toon",
        "yaml",
        "printed frame",
        "xml",
        "json in text",
        "python in text",
        "columns line",
        "csv",
        "blanks",
    ]


def test_every_reader_says_why_it_stands_where_it_stands() -> None:
    assert all(len(reader.why) > 20 for reader in readers.all_readers())


def test_a_package_adds_readers_at_the_positions_they_name(acme: list[str]) -> None:
    assert names()[:3] == ["acme failing", "acme", "code"]
    assert names()[-2:] == ["blanks", "acme blanks"]


def test_an_added_reader_takes_a_result_and_explain_says_so(acme: list[str]) -> None:
    reading = read(result(ACME))
    assert reading.reader == "acme"
    assert reading.tables[0].data.to_pydict() == {"id": [1, 2], "name": ["Ada", "Bob"]}
    assert "reader: acme" in repr(mcp_notebook.explain(result(ACME)))


def test_an_added_reader_that_fails_costs_no_result(acme: list[str]) -> None:
    reading = read(result("id,name\n1,Ada"))
    assert reading.reader == "csv"
    failed = dict(reading.rejected)["acme failing"]
    assert failed.startswith("its reader failed: KeyError")


@pytest.mark.parametrize("name", ["broken", "not_a_reader", "nowhere", "twice"])
def test_a_broken_entry_is_named_in_a_warning_and_skipped(
    acme: list[str], name: str
) -> None:
    assert len(acme) == 4
    assert sum(f"the readers '{name}'" in warning for warning in acme) == 1
    assert "acme lost" not in names()
    assert names().count("csv") == 1


def test_entries_are_loaded_once(acme: list[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert readers.all_readers() is readers.all_readers()


def test_entries_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(result(RUBY)).reader == "code"
    readers.all_readers.cache_clear()
    monkeypatch.setenv("MCP_NOTEBOOK_READERS_OFF", "acme, languages")
    monkeypatch.syspath_prepend(str(PACKAGE))
    with pytest.warns(RuntimeWarning):
        assert "code" not in names()
    assert "acme" not in names()
    assert not read(result(RUBY)).tables
