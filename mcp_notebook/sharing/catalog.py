"""Which names of the notebook are tables for SQL.

A result or a table that a question names is the variable's value of that moment. What
the person shared is that object, not whatever the variable holds next: `df` is
everybody's name. With `follows` it is the variable.
"""

from __future__ import annotations

import time
import weakref
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from typing import Literal, cast

from mcp_notebook.errors import DataError, did_you_mean
from mcp_notebook.kinds import is_table

Origin = Literal["result", "named", "shared"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A table's name in SQL, the variable that holds it, and why it is offered.

    `origin` "result": an earlier call produced it, for this notebook's conversation
    only. "named": the person named it in a question, for the conversation too.
    "shared": the person shared it, so it may be served to clients outside.
    """

    name: str
    variable: str
    origin: Origin = "result"
    description: str = ""
    # gives the object that was shared; no other takes its place
    pinned: Callable[[], object] | None = None
    follows: bool = False
    # columns that were made from masked ones, under names that are not
    masked: tuple[str, ...] = ()
    # what columns mean, in the person's words
    meanings: Mapping[str, str] = field(default_factory=dict)


class Catalog:
    """The offered tables by name; `namespace` gives the notebook's variables whenever
    it is asked.
    """

    def __init__(self, namespace: Callable[[], Mapping[str, object]]) -> None:
        self._namespace = namespace
        self._entries: dict[str, Entry] = {}
        # Names by their lower-case form: a notebook may hold thousands of tables, and each
        # statement looks some up.
        self._alike: dict[str, dict[str, None]] = {}
        self._used: dict[str, float] = {}
        self._listeners: list[Callable[[], None]] = []

    def add(
        self,
        name: str,
        *,
        variable: str | None = None,
        origin: Origin = "result",
        description: str = "",
        follows: bool = False,
        masked: tuple[str, ...] = (),
        meanings: Mapping[str, str] | None = None,
    ) -> None:
        """Offer the variable (by default the one called `name`) as a table; a name that
        was there is replaced.

        A variable that the person shared under this name stays shared when a call gives
        it new rows, but to nobody before it is shared again.
        """
        held = variable or name
        if origin == "shared":
            pinned = _hold_weakly(self._namespace().get(held))
        else:
            pinned = None

        known = self._entries.get(name)
        if known is not None and known.variable == held and not masked:
            # the same table, named in a question or shared: made from what it was
            masked = known.masked

        fresh = Entry(
            name, held, origin, description, pinned, follows, masked, meanings or {}
        )
        if known is not None and known.origin == "shared" and origin != "shared":
            # what the person shared stays shared, also with a call's new rows
            if known.variable == fresh.variable:
                return

        self._entries[name] = fresh
        self._alike.setdefault(name.lower(), {})[name] = None
        self._tell_listeners()

    def remove(self, name: str) -> None:
        """Offer the table no longer; an unknown name is a `DataError`."""
        if self._entries.pop(name, None) is None:
            raise DataError(self._unknown(name))

        self._alike[name.lower()].pop(name)
        self._used.pop(name, None)
        self._tell_listeners()

    def withhold(self, name: str) -> None:
        """Offer a result no longer, unless the person shared it under this name."""
        if (entry := self._entries.get(name)) is not None and entry.origin == "result":
            self.remove(name)

    def use(self, names: Iterable[str]) -> None:
        """Note that statements read these tables now."""
        self._used |= dict.fromkeys(names, time.monotonic())

    def last_used(self, name: str) -> float | None:
        """When a statement last read the table, by `time.monotonic`; None: not yet."""
        return self._used.get(name)

    def entries(self) -> tuple[Entry, ...]:
        """Those whose variable exists now, sorted by name."""
        namespace = self._namespace()
        return tuple(
            entry
            for _, entry in sorted(self._entries.items())
            if entry.variable in namespace
        )

    def names(self) -> tuple[str, ...]:
        """The names of `entries()`."""
        return tuple(entry.name for entry in self.entries())

    def names_in(self, text: str) -> tuple[str, ...]:
        """Names whose letters occur in a text, as a statement's tables must: all that it
        can mean, and perhaps more. Of thousands of tables only these are looked at.
        """
        letters, namespace = text.lower(), self._namespace()
        return tuple(
            entry.name
            for alike, names in self._alike.items()
            # within quotes a quote is written twice
            if alike.replace('"', '""') in letters
            for entry in map(self._entries.__getitem__, names)
            if entry.variable in namespace
        )

    def only(self, origin: Origin) -> Catalog:
        """A view of the entries of one origin that follows later changes of this catalog."""
        return _Selection(self, origin)

    def resolve(self, name: str) -> object:
        """The variable's current value; the name is matched without regard to case, as SQL does.

        Raises `DataError` when no such table is offered or the value is no table any more.
        """
        entry = self.find(name)
        if entry is None:
            raise DataError(self._unknown(name))

        value = self._namespace()[entry.variable]
        if is_paused(entry, value):
            raise DataError(
                f"The share of {entry.name} is paused: {entry.variable} holds another "
                f"object now than the one that was shared. %mcp_share {entry.variable} "
                "shares the new one, %mcp_share --follow whatever it holds."
            )

        # A text names a file only where the person named it: what a model makes of a
        # variable opens no file.
        if not is_table(value) or (isinstance(value, str) and entry.origin == "result"):
            raise DataError(
                f"{entry.variable} is a {type(value).__name__} now, not a table: share "
                "it again when it is."
            )

        # Loads pyarrow, which a name in a question does not need.
        from mcp_notebook.sharing.sources.local_tables import near

        return near(value)

    def renew(self, name: str) -> None:
        """Take what the variable holds now for what was shared under this name."""
        entry = self._entries.get(name)
        if entry is not None and entry.origin == "shared":
            pinned = _hold_weakly(self.value_of(entry))
            self._entries[name] = replace(entry, pinned=pinned)

    def value_of(self, entry: Entry) -> object:
        """What the entry's variable holds now, shared or not."""
        return self._namespace().get(entry.variable)

    def find(self, name: str) -> Entry | None:
        """The entry of that name: exactly so written, else the only one that differs in
        letter case.
        """
        present = {entry.name: entry for entry in self._present_alike(name)}
        if name in present:
            return present[name]
        if len(present) == 1:
            return next(iter(present.values()))

        return None

    def _present_alike(self, name: str) -> Iterator[Entry]:
        """The entries of that name in any letter case whose variable exists now."""
        namespace = self._namespace()
        for known in tuple(self._alike.get(name.lower(), ())):
            entry = self._entries[known]
            if entry.variable in namespace:
                yield entry

    def find_described(self, variable: str) -> Entry | None:
        """The entry of a variable's table; of several the one that says most of it."""
        found = [entry for entry in self.entries() if entry.variable == variable]
        return max(
            found, key=lambda e: (bool(e.meanings), bool(e.description)), default=None
        )

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` (from any thread) after each change of what is offered."""
        self._listeners.append(listener)

    def off_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` no longer."""
        self._listeners.remove(listener)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries())

    def _tell_listeners(self) -> None:
        for listener in list(self._listeners):
            listener()

    def _unknown(self, name: str) -> str:
        known = self.names()
        return (
            f"There is no table {name!r}.{did_you_mean(name, known)} Tables: "
            f"{', '.join(known) or 'none yet'}."
        )


def is_paused(entry: Entry, value: object) -> bool:
    """Whether the variable no longer holds what was shared."""
    if entry.origin != "shared" or entry.follows:
        return False

    return entry.pinned is None or value is not entry.pinned()


def _hold_weakly(value: object) -> Callable[[], object]:
    """A way to the object that does not keep it: `del df` frees a shared frame too."""
    try:
        return weakref.ref(value)
    except TypeError:
        # A path or another small value that cannot be referred to weakly.
        return lambda: value


class _Selection(Catalog):
    """The entries of one origin of another catalog."""

    def __init__(self, source: Catalog, origin: Origin) -> None:
        super().__init__(source._namespace)
        self._source = source
        self._origin = origin
        self._used = source._used
        source.on_change(self._tell_listeners)

    def entries(self) -> tuple[Entry, ...]:
        return tuple(
            entry for entry in self._source.entries() if entry.origin == self._origin
        )

    def names_in(self, text: str) -> tuple[str, ...]:
        every = self._source.names_in(text)
        found = {name: self.find(name) for name in every}
        return tuple(n for n, entry in found.items() if entry and entry.name == n)

    def _present_alike(self, name: str) -> Iterator[Entry]:
        for entry in self._source._present_alike(name):
            if entry.origin == self._origin:
                yield entry


class PersonsCatalog(Catalog):
    """All tables of `source` as they are now, and `tables` before them: what the
    person's own SQL reads. No share pauses there: it is their notebook.

    Nothing is copied, since a notebook may hold thousands of tables.
    """

    def __init__(self, source: Catalog, tables: Mapping[str, object]) -> None:
        super().__init__(lambda: _before(tables, source._namespace()))
        self._source, self._used = source, source._used
        for name in tables:
            self.add(name)

    def entries(self) -> tuple[Entry, ...]:
        every = {entry.name: _as_held(entry) for entry in self._source.entries()}
        every |= {entry.name: entry for entry in super().entries()}
        return tuple(entry for _, entry in sorted(every.items()))

    def names(self) -> tuple[str, ...]:
        own = (entry.name for entry in super().entries())
        return tuple(sorted({*own, *self._source.names()}))

    def names_in(self, text: str) -> tuple[str, ...]:
        every = (*super().names_in(text), *self._source.names_in(text))
        return tuple(dict.fromkeys(every))

    def _present_alike(self, name: str) -> Iterator[Entry]:
        own = {entry.name: entry for entry in super()._present_alike(name)}
        yield from own.values()
        for entry in self._source._present_alike(name):
            if entry.name not in own:
                yield _as_held(entry)


def _before(
    tables: Mapping[str, object], namespace: Mapping[str, object]
) -> Mapping[str, object]:
    # A ChainMap writes to its first part only, and nobody writes to this one.
    return ChainMap(dict(tables), cast("MutableMapping[str, object]", namespace))


def _as_held(entry: Entry) -> Entry:
    """A table as what its variable holds, whatever was shared under the name."""
    return replace(entry, follows=True)
