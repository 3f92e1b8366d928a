"""Values that must not be shown, found in every text in whatever form they stand there.

A value is looked for as it is and as programs write it: escaped for JSON, a URL or
HTML, in hexadecimal, in base64 at each of the three places where it may begin inside a
longer text (`Basic` headers), and across line breaks.

Time is linear in the text, however many values are known: the first four bytes of every
form are marked in a table, all positions of the text are looked up there at once
(numpy), and only where a mark stands is the text compared. Short texts are not worth
that and are searched for one form after the other.
"""

import base64
import bisect
import html
import json
import re
import sys
import threading
from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "***"
WINDOW = 4  # bytes that are looked up at once; no form is shorter
SHORT = 8  # characters; a shorter value counts only where it stands as a word
SMALL_WORK = 50_000  # bytes times forms, below which a loop is faster
TABLE_BITS = 20
MOST_VALUES = 200_000
_FACTOR = 2_654_435_761  # Knuth's multiplicative hash
_INDENT = re.compile(r"\n[ \t]+")
_SHIFT = 32 - TABLE_BITS
_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*")  # reads the same in JSON, URLs and HTML
# Begins with a set of characters, so that the engine skips to the next of them; as a
# choice of four it would try each at every character, twenty times as long.
_BREAKS = re.compile(r"[\r\n\\](?:(?<=[\r\n])|(?<=\\)[rn])(?:[\r\n]|\\[rn])*[ \t]*")


class KnownValues:
    """The values that are known in this process, with the forms they may take."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: set[str] = set()
        self._finder = Finder()
        self.overflowed = False  # a value was not taken, since there are too many

    def learn(self, values: Iterable[str]) -> None:
        """Know these from now on."""
        new = {v for v in values if len(v) >= WINDOW} - self._values
        if not new:
            return

        with self._lock:
            room = MOST_VALUES - len(self._values)
            self.overflowed |= len(new) > room
            taken = list(new)[: max(room, 0)]
            self._values.update(taken)
            self._finder.add(taken)

    def forget(self) -> None:
        """Know nothing any more."""
        with self._lock:
            self._values = set()
            self._finder, self.overflowed = Finder(), False

    def __len__(self) -> int:
        return len(self._values)

    def hide(self, text: str, mark: str = MASK) -> str:
        """The text with the mark in place of every known value."""
        if not self._values or len(text) < WINDOW:
            return text

        return self._finder.hide(text, mark)


class Finder:
    """Finds the forms of some values in texts."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._forms: set[bytes] = set()
        self._short: set[bytes] = set()
        # the lengths that forms of one beginning have, the longest first
        self._lengths: dict[bytes, list[int]] = {}
        self._table: Any = None
        self.add(values)

    def add(self, values: Iterable[str]) -> None:
        """Look for these, too."""
        for value in values:
            forms = forms_of(value)
            self._forms |= forms
            if len(value) < SHORT:
                self._short |= forms

            for form in forms:
                lengths = self._lengths.setdefault(form[:WINDOW], [])
                if len(form) not in lengths:
                    bisect.insort(lengths, len(form), key=lambda length: -length)

        self._table = None

    def hide(self, text: str, mark: str = MASK) -> str:
        """The text with the mark in place of every form."""
        compact = _without_breaks(text)
        data = compact.encode("utf-8", "surrogatepass")
        spans = self._spans(data)
        if not spans:
            return text

        at = _positions(text, compact, data, spans)
        pieces, end = [], 0
        for first, last in at:
            pieces += [text[end:first], mark]
            end = last

        return "".join([*pieces, text[end:]])

    def _spans(self, data: bytes) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        for start in self._starts(data):
            if found and start < found[-1][1]:
                # what begins inside a value that is hidden may go on after it
                start = max(start, found[-1][0])

            end = self._end_of_form(data, start)
            if end is None:
                continue
            if found and start < found[-1][1]:
                found[-1] = (found[-1][0], max(end, found[-1][1]))
            else:
                found.append((start, end))

        return found

    def _starts(self, data: bytes) -> Iterable[int]:
        """Where a form may begin, in order."""
        work = len(data) * len(self._lengths)
        if work < (SMALL_WORK if "numpy" in sys.modules else SMALL_WORK * 100):
            found = (_all_of(start, data) for start in self._lengths)
            return sorted(at for places in found for at in places)

        import numpy as np  # slow; only a long text is worth it

        if self._table is None:
            self._table = self._make_table(np)

        places = []
        for shift in range(WINDOW):
            windows = np.frombuffer(data, "<u4", (len(data) - shift) // WINDOW, shift)
            marked = self._table.take((windows * np.uint32(_FACTOR)) >> _SHIFT)
            places.append(np.flatnonzero(marked) * WINDOW + shift)

        return np.sort(np.concatenate(places)).tolist()

    def _make_table(self, np: Any) -> Any:
        table = np.zeros(1 << TABLE_BITS, np.bool_)
        starts = np.frombuffer(b"".join(self._lengths), "<u4").astype(np.uint32)
        table[(starts * np.uint32(_FACTOR)) >> _SHIFT] = True
        return table

    def _end_of_form(self, data: bytes, start: int) -> int | None:
        for length in self._lengths.get(data[start : start + WINDOW], ()):
            end = start + length
            form = data[start:end]
            if form not in self._forms:
                continue
            if form not in self._short or _stands_alone(data, start, end):
                return end

        return None


def forms_of(value: str) -> set[bytes]:
    """Every form of a value that is looked for, without line breaks."""
    data = value.encode("utf-8", "surrogatepass")
    texts = {value} if _PLAIN.fullmatch(value) else _text_forms(value)
    # a short value's bytes stand in too many other texts
    if len(value) >= SHORT:
        texts |= {data.hex(), data.hex().upper(), *_base64_forms(data)}

    compact = (_without_breaks(text) for text in texts)
    made = {text.encode("utf-8", "surrogatepass") for text in compact}
    return {form for form in made if len(form) >= WINDOW}


def _text_forms(value: str) -> set[str]:
    escaped = json.dumps(value)[1:-1]
    quoted = quote(value, safe="", errors="replace")
    return {
        value,
        escaped,
        json.dumps(value, ensure_ascii=False)[1:-1],
        json.dumps(escaped)[1:-1],
        repr(value)[1:-1],
        quoted,
        _small_escapes(quoted),
        quote(value, errors="replace"),
        quote_plus(value, errors="replace"),
        html.escape(value),
        html.escape(value, quote=False),
        html.escape(value).replace("&#x27;", "&#39;"),
    }


def _without_breaks(text: str) -> str:
    """The text without what `_BREAKS` finds, in a fifth of the pattern's time."""
    one_kind = text.replace("\\n", "\n").replace("\\r", "\n").replace("\r", "\n")
    if "\n " in one_kind or "\n\t" in one_kind:
        one_kind = _INDENT.sub("", one_kind)
    return one_kind.replace("\n", "")


def _small_escapes(text: str) -> str:
    return re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), text)


def _base64_forms(data: bytes) -> Iterable[str]:
    """The letters that the value alone decides, at each of its three places."""
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + data).decode("ascii")
        first = (before * 8 + 5) // 6
        last = (before + len(data)) * 8 // 6
        inner = encoded[first:last]
        yield inner
        yield inner.replace("+", "-").replace("/", "_")


def _all_of(start: bytes, data: bytes) -> Iterable[int]:
    at = data.find(start)
    while at >= 0:
        yield at
        at = data.find(start, at + 1)


def _stands_alone(data: bytes, start: int, end: int) -> bool:
    around = (data[start - 1 : start], data[end : end + 1])
    return not any(c.isalnum() or c == b"_" or (c and c[0] >= 128) for c in around)


def _positions(
    text: str, compact: str, data: bytes, spans: list[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Spans of the compact text's bytes as spans of the text's characters."""
    if len(data) != len(compact):
        spans = _in_characters(data, spans)
    if len(compact) == len(text):
        return spans

    # where each piece between two breaks begins, in the compact text and in the text
    begins, moved, gone = [0], [0], 0
    for found in _BREAKS.finditer(text):
        gone += found.end() - found.start()
        begins.append(found.end() - gone)
        moved.append(gone)

    def place(at: int) -> int:
        return at + moved[bisect.bisect_right(begins, at) - 1]

    return [(place(first), place(last - 1) + 1) for first, last in spans]


def _in_characters(data: bytes, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    made, at, count = [], 0, 0
    for first, last in spans:
        count += _characters(data[at:first])
        length = _characters(data[first:last])
        made.append((count, count + length))
        at, count = last, count + length

    return made


def _characters(data: bytes) -> int:
    return len(data.decode("utf-8", "surrogatepass"))


@lru_cache(maxsize=64)
def finder_of(values: tuple[str, ...]) -> Finder:
    """A finder of a few values, as the environment holds them now."""
    return Finder(values)
