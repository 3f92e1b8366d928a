"""The catalog finds a table by its name, whatever was added and removed before."""

import gc
import weakref
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from mcp_notebook.errors import DataError
from mcp_notebook.sharing.catalog import Catalog, Entry, PersonsCatalog, is_paused

NAMES = st.sampled_from(["orders", "Orders", "ORDERS", "shop", "Shop", "ä", "Ä"])
STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "share", "remove", "unset", "set"]), NAMES),
    max_size=25,
)


def by_looking_at_all(catalog: Catalog, name: str) -> Entry | None:
    present = {entry.name: entry for entry in catalog.entries()}
    alike = [entry for known, entry in present.items() if known.lower() == name.lower()]
    return present.get(name) or (alike[0] if len(alike) == 1 else None)


@given(STEPS, NAMES)
def test_a_name_finds_what_looking_at_all_entries_finds(steps, name):
    variables = dict.fromkeys(["orders", "Orders", "ORDERS", "shop", "Shop", "ä", "Ä"])
    catalog = Catalog(lambda: variables)
    shared = catalog.only("shared")
    for step, on in steps:
        if step in ("add", "share"):
            catalog.add(on, origin="shared" if step == "share" else "result")
        elif step == "unset":
            variables.pop(on, None)
        elif step == "set":
            variables[on] = None
        elif catalog.find(on) is not None:
            with suppress(DataError):  # another letter case, or known no longer
                catalog.remove(on)

        persons = PersonsCatalog(catalog, {"Shop": object()})
        for view in (catalog, shared, persons):
            found = view.find(name)
            assert found == by_looking_at_all(view, name)
            assert view.names() == tuple(entry.name for entry in view.entries())
            mentioned = view.names_in(f'from "{name}"')
            assert found is None or found.name in mentioned
            assert set(mentioned) <= set(view.names())


def test_a_name_with_a_quote_is_mentioned_as_sql_writes_it():
    catalog = Catalog(lambda: {'a "b"': None, "zz": None})
    catalog.add('a "b"')
    catalog.add("zz")
    assert catalog.names_in('select 1 from "A ""b"""') == ('a "b"',)


def test_the_persons_own_sql_reads_what_a_variable_holds_whatever_was_shared():
    variables: dict[str, object] = {"df": Frame(), "other": Frame()}
    catalog = Catalog(lambda: variables)
    catalog.add("df", origin="shared")
    catalog.add("other")
    variables["df"] = Frame()
    persons = PersonsCatalog(catalog, {"other": 1, "more": 2})
    assert persons.names() == ("df", "more", "other")
    found = [persons.value_of(entry) for entry in persons]
    assert found == [variables["df"], 2, 1]
    (shared,) = catalog.only("shared")
    assert is_paused(shared, variables["df"])
    assert not any(is_paused(e, persons.value_of(e)) for e in persons)


class Frame:
    """Stands for a large table."""


def test_a_share_does_not_keep_what_the_person_deleted():
    variables: dict[str, object] = {"events": Frame(), "path": "events.parquet"}
    catalog = Catalog(lambda: variables)
    catalog.add("events", origin="shared")
    catalog.add("path", origin="shared")
    frame = weakref.ref(variables["events"])
    assert not any(is_paused(e, variables[e.variable]) for e in catalog)

    del variables["events"]
    gc.collect()
    assert frame() is None
    variables["events"] = Frame()
    assert {e.name for e in catalog if is_paused(e, variables[e.variable])} == {
        "events"
    }
