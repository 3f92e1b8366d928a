r"""What is a secret: the one rule for names, and the one for values known to be secret.

A secret is known by the name it stands under (`is_secret_name`), by its shape, as the
value of a secret environment variable, or because it was given to a server
(`learn_secret`): then it is found in all its forms. Shapes: the documented prefixes of
Anthropic, OpenAI, GitHub, GitLab, Slack, AWS, Google, Hugging Face, npm and PyPI keys,
JSON web tokens, PEM private keys, and the password in a URL.
"""

from __future__ import annotations

import base64
import bisect
import functools
import html
import json
import logging
import os
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from enum import IntEnum
from functools import lru_cache
from importlib import import_module
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

MASK = "***"
WINDOW = 4  # bytes that are looked up at once; no form is shorter
SHORT = 8  # characters; a shorter value counts only where it stands as a word
SMALL_TEXT = 4_000  # bytes, below which NumPy takes longer to begin than to search
FEW_FORMS = 30  # each of them is searched for
SMALL_WORK = 30_000_000  # bytes times forms, below which loading NumPy takes longer
LEAST_BITS, TABLE_BITS = 12, 20
MOST_VALUES = 200_000
_FACTOR = 2_654_435_761  # Knuth's multiplicative hash
_INDENT = re.compile(r"\n[ \t]+")
_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*")  # reads the same in JSON, URLs and HTML
# Begins with a set of characters, so that the engine skips to the next of them; as a
# choice of four it would try each at every character, twenty times as long.
_BREAKS = re.compile(r"[\r\n\\](?:(?<=[\r\n])|(?<=\\)[rn])(?:[\r\n]|\\[rn])*[ \t]*")


# ---- values in all their forms
#
# Time is linear in the text, however many values are known: the first four bytes of
# every form are marked in a table, all positions of the text are looked up there at
# once (numpy), and only where a mark stands is the text compared. Short texts are not
# worth that and are searched for one form after the other.


class KnownValues:
    """The values that are known in this process, with the forms they may take."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: set[str] = set()
        self._finder = Finder()
        self.overflowed = False  # a value was not taken, since there are too many
        self.version = 0  # another one whenever other values are known
        self.has_numbers = False  # one of them may stand in JSON as a number

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
            self.has_numbers |= any(map(_is_number, taken))
            self.version += 1

    def forget(self) -> None:
        """Know nothing any more."""
        with self._lock:
            self._values = set()
            self._finder, self.overflowed = Finder(), False
            self.has_numbers = False
            self.version += 1

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
        self._beginnings: set[int] = set()  # the same, as numbers of WINDOW bytes
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
                start = form[:WINDOW]
                self._beginnings.add(int.from_bytes(start, sys.byteorder))
                lengths = self._lengths.setdefault(start, [])
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
        # a window takes a twentieth of the time of a search for one beginning
        if len(data) < min(20 * len(self._lengths), SMALL_TEXT):
            found = (_all_of(start, data) for start in self._beginnings_in(data))
            return sorted(at for places in found for at in places)

        work = len(data) * len(self._lengths)
        is_loaded = "numpy" in sys.modules
        if len(self._lengths) < FEW_FORMS or (not is_loaded and work < SMALL_WORK):
            found = (_all_of(start, data) for start in self._lengths)
            return sorted(at for places in found for at in places)

        # slow; only a long text is worth it
        np = import_module("numpy")

        if self._table is None:
            self._table = self._make_table(np)

        shift_of_hash = 33 - len(self._table).bit_length()
        places = []
        for shift in range(WINDOW):
            windows = np.frombuffer(data, "<u4", (len(data) - shift) // WINDOW, shift)
            marked = self._table.take((windows * np.uint32(_FACTOR)) >> shift_of_hash)
            places.append(np.flatnonzero(marked) * WINDOW + shift)

        return np.sort(np.concatenate(places)).tolist()

    def _beginnings_in(self, data: bytes) -> list[bytes]:
        # four views of the same bytes are every window, and a set goes through each in C
        there: set[int] = set()
        for shift in range(WINDOW):
            end = len(data) - (len(data) - shift) % WINDOW
            windows = memoryview(data[shift:end]).cast("I")
            there |= self._beginnings.intersection(windows)

        return [number.to_bytes(WINDOW, sys.byteorder) for number in there]

    def _make_table(self, np: Any) -> Any:
        # small as long as few values are known: what fits into a cache is looked up fast
        bits = min(max(LEAST_BITS, len(self._lengths).bit_length() + 5), TABLE_BITS)
        table = np.zeros(1 << bits, np.bool_)
        starts = np.frombuffer(b"".join(self._lengths), "<u4").astype(np.uint32)
        table[(starts * np.uint32(_FACTOR)) >> (32 - bits)] = True
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
    if _PLAIN.fullmatch(value):
        texts = {value}
    else:
        texts = _text_forms(value)

    # a short value's bytes stand in too many other texts
    if len(value) >= SHORT:
        texts |= {data.hex(), data.hex().upper(), *_base64_forms(data)}

    compact = (_without_breaks(text) for text in texts)
    made = {text.encode("utf-8", "surrogatepass") for text in compact}
    return {form for form in made if len(form) >= WINDOW}


def _text_forms(value: str) -> set[str]:
    escaped = json.dumps(value)[1:-1]
    in_json = {value, escaped, json.dumps(value, ensure_ascii=False)[1:-1]}
    # a page or an address may hold JSON
    outer = {
        form for text in in_json for form in (*_url_forms(text), *_html_forms(text))
    }
    return {*in_json, *outer, json.dumps(escaped)[1:-1], repr(value)[1:-1]}


def _url_forms(text: str) -> set[str]:
    quoted = quote(text, safe="", errors="replace")
    return {
        quoted,
        re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), quoted),
        quote(text, errors="replace"),
        quote_plus(text, errors="replace"),
    }


def _html_forms(text: str) -> set[str]:
    whole = html.escape(text)
    return {whole, html.escape(text, quote=False), whole.replace("&#x27;", "&#39;")}


def _without_breaks(text: str) -> str:
    """The text without what `_BREAKS` finds, in a fifth of the pattern's time."""
    one_kind = text.replace("\\n", "\n").replace("\\r", "\n").replace("\r", "\n")
    if "\n " in one_kind or "\n\t" in one_kind:
        one_kind = _INDENT.sub("", one_kind)

    return one_kind.replace("\n", "")


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
    around = data[max(start - 1, 0) : start] + data[end : end + 1]
    # letters that are not ASCII have bytes of 128 and more
    return not any(chr(c).isalnum() or c == ord("_") or c >= 128 for c in around)


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


# ---- what is a secret, by its name, its shape or its source


logger = logging.getLogger(__name__)

KNOWN = KnownValues()  # what servers were given, and values of masked columns
WITHHELD = "[withheld: the text could not be searched for secrets]"
LEAST = 8  # characters; shorter values would take ordinary words along


class NameLevel(IntEnum):
    """How much a name must say to count as a secret's; each level holds those before it.

    What a wrong guess costs falls from level to level: a hidden column is lost to the
    model, a header that becomes `${VAR}` only has to be set.
    """

    # A column or field of a result. A bare `token` is not among them: results hold the
    # tokens that pages are turned with.
    FIELD = 1
    # An argument of a call: a `token` that is sent is nearly always one that lets in.
    ARGUMENT = 2
    # A field of a form that a server wants filled in: codes that a person knows by heart.
    FORM = 3
    # An option of a command, an item of a URL's query: signed addresses let in, too.
    ADDRESS = 4
    # An environment variable, whose value is then taken out of every text.
    VARIABLE = 5
    # Any word in a line of noise that could be quoted: in doubt it is not.
    NOISE = 6
    # A header or variable of the line that connects a server; it goes into a file.
    CONNECTION = 7


# Names are compared as `api_key`, with one `_` in place of any separator.
_CERTAIN = (
    r"pass_?(?:word|wd|phrase)|secret|(?:api|private|access|secret)_?key|credentials?"
    r"|authorization|(?:access|refresh|auth|bearer|api|session)_?token"
)
# What each level adds to those before it.
_ADDED = {
    NameLevel.FIELD: rf"(?:{_CERTAIN})$",
    NameLevel.ARGUMENT: (
        # not `askpass`, `bypass`, `compass`, `secretary`, `tokenizer`
        r"(?<!ask)(?<!by)(?<!com)pass$|secret(?!ar)|credential|authorization"
        r"|(?:api|private|access)_?key|token(?!i[sz])"
    ),
    NameLevel.FORM: (
        r"passw|pass_?(?:code|phrase)|card_?number"
        r"|(?:recovery|security|one_?time)_?(?:code|phrase)"
        r"|(?<![a-z])(?:pin|otp|cv[vc]|ssn)(?![a-z])"
    ),
    NameLevel.ADDRESS: r"signature",
    NameLevel.VARIABLE: r"key$|token$|secret|_pat$|_auth$",
    NameLevel.NOISE: r"key|token",
    NameLevel.CONNECTION: r"auth|cookie|session|login",
}
_NAMES = {
    level: re.compile(
        "|".join(_ADDED[each] for each in NameLevel if each <= level), re.MULTILINE
    )
    for level in NameLevel
}
# What turns pages and what is counted are no secrets, though they are called tokens.
_READABLE = re.compile(
    r"(?<![a-z])(?:next_?)?(?:page|next|prev(?:ious)?|continuation|cursor|sync|start(?:ing)?"
    r"|resume)_?tokens?$|(?<![a-z])(?:max|min|num|total|input|output|prompt|completion"
    r"|context|new|used|n)"
    r"(?:_?(?:input|output|prompt|completion|context|new|cell))?_?tokens(?![a-z])"
    r"|tokens?_(?:count|limit|budget|usage|used|per_[a-z]+)$"
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SEPARATORS = re.compile(r"[\W_]+")

# Keys of known shapes. Each pattern begins with its letters, which is what the engine
# skips to; as one choice of all it would try each at every character, and one address
# in a text made its search twenty times as long. None looks at a run of letters twice.
_KEYS = (
    (("sk-",), r"[A-Za-z0-9_-]{16,}"),  # Anthropic, OpenAI and others
    (("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"[A-Za-z0-9]{20,}"),
    (("github_pat_",), r"\w{20,}"),
    (("glpat-",), r"[\w-]{16,}"),
    (("xox",), r"[abeoprs]-[\w-]{10,}"),
    (("AKIA", "ASIA"), r"[0-9A-Z]{16}\b"),
    (("AIza",), r"[\w-]{30,}"),
    (("hf_",), r"[A-Za-z0-9]{20,}"),
    (("npm_",), r"[A-Za-z0-9]{30,}"),
    (("pypi-",), r"[\w-]{30,}"),
)
_SHAPES = {
    **{
        start: re.compile(rf"{start}(?<=\b{start}){rest}")
        for starts, rest in _KEYS
        for start in starts
    },
    "-----BEGIN ": re.compile(
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----"
        r".*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
        re.DOTALL,
    ),
    # user:password in a URL
    "://": re.compile(r"://(?P<secret>[^\s:/@]{0,100}:[^\s/@]{1,200})(?=@)"),
    # A JSON web token. It takes a run of letters whether or not the other parts follow:
    # began anew at the next `eyJ` of the run, it would look at the run's end each time.
    "eyJ": re.compile(r"eyJ[\w-]*+(?P<secret>\.eyJ[\w-]{8,}+(?:\.[\w-]++)+)?"),
}
# In text the end of a name is enough. A pattern that also took its beginning would try
# every letter of a long word as one: quadratic time.
_IN_TEXT = _CERTAIN.replace("_?", "[_-]?")
_NAMED_IN_JSON = re.compile(
    rf"""
    (?P<name>(?:{_IN_TEXT})(?:\\?["']|"")\s*:\s*)
    (?: \\"(?:(?!\\").)*\\"                 # JSON inside a JSON string
      | ""[^",\n]+""                          # JSON inside a CSV cell
      | "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*'
      | [\w.+-]+
    )""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
_NAMED_IN_TEXT = re.compile(
    rf"(?P<name>(?:{_IN_TEXT})\s*[:=]\s*)(?:(?:Bearer|Basic)\s+)?[^\s,;\"'(){{}}\[\]]+",
    re.IGNORECASE,
)
# The end of each name with what comes after it, in folded text: most texts hold none, and
# with its letters in front that is found out in a tenth of the time of the patterns above.
_AFTER_NAME = r"(?:\\?[\"']|\"\")?\s*[:=]"
_NAME_ENDS = {
    "pass": re.compile(rf"pass[_-]?(?:word|wd|phrase){_AFTER_NAME}"),
    "credential": re.compile(rf"credentials?{_AFTER_NAME}"),
    **{
        end: re.compile(rf"{end}{_AFTER_NAME}")
        for end in ("secret", "key", "authorization", "token")
    },
}

_NUMBERS = re.compile(r"[\d\s.,:+/TZ_-]+|v?\d+(?:\.\d+)+[\w.-]{0,8}")
_PATH = re.compile(r"[/~]|\.\.?/|[A-Za-z]:[\\/]|file:")
_HOST = re.compile(
    r"(?:[A-Za-z0-9-]{1,40}\.)+[A-Za-z]{2,24}(?::\d+)?|localhost(?::\d+)?"
)
# a word of a dictionary, as well as that can be told without one
_WORD = re.compile(r"[A-Z]?[a-z]{1,12}|[A-Z]{1,12}|\d{1,4}|")
USERINFO = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]{0,30}://)[^/\s@?#]+@", re.IGNORECASE
)
_ITEM = re.compile(r"(?<![\w-])(?P<name>[\w-]++)=")
_ITEM_VALUE = re.compile(r"[^&\s#'\"]+")
_OPTION = re.compile(r"--?(?P<name>[\w-]+)")


@functools.lru_cache(maxsize=8192)
def is_secret_name(name: str, level: NameLevel = NameLevel.FIELD) -> bool:
    """Whether what stands under this name is a secret, for a name of this kind."""
    words = _SEPARATORS.sub("_", _CAMEL.sub("_", name)).strip("_").lower()
    letters = _SEPARATORS.sub("_", name).strip("_").lower()
    # `apiKey` is two words and `passWord` one, so both readings count
    if not _NAMES[level].search(f"{words}\n{letters}"):
        return False

    if level >= NameLevel.VARIABLE:
        return True

    # counters and pages are told from what lets in; something else may stand beside them
    rest = _READABLE.sub("", words)
    return rest == words or _NAMES[level].search(rest) is not None


def learn_secret(name: str, value: str) -> None:
    """Know a value that a server is given, so that no text shows it.

    Evidently public ones (`is_public`) count by their name only: a server that is given
    a port or a folder would take every number and path out of its own answers.
    """
    if len(value) < LEAST:
        return

    if is_secret_name(name, NameLevel.VARIABLE):
        if not os.path.exists(value):
            KNOWN.learn([value])
    elif not is_public(value):
        KNOWN.learn([value])


def learn_header(name: str, value: str) -> None:
    """Know a header's value; of `Bearer VALUE` also the value alone, of `Basic` what it
    says.
    """
    words = value.split()
    is_certain = name.lower() in ("authorization", "proxy-authorization", "cookie")
    for word in {value, *words[1:]}:
        learn_secret("secret" if is_certain else name, word)

    if len(words) == 2 and words[0].lower() == "basic":
        with suppress(ValueError):
            said = base64.b64decode(words[1], validate=True).decode("utf-8", "replace")
            learn_secret("secret", said.partition(":")[2])


def learn_url(url: str) -> None:
    """Know the user's part and the values of the query of an address."""
    try:
        parts = urlsplit(url)
        items = parse_qsl(parts.query)
    except ValueError:
        return

    for name, value in items:
        learn_secret(name, value)

    userinfo = parts.netloc.rpartition("@")[0]
    if userinfo:
        password = userinfo.partition(":")[2]
        for text in {userinfo, password, unquote(password)}:
            learn_secret("password", text)


def is_public(value: str) -> bool:
    """Whether a value is evidently no secret: a path, a host, an address without
    credentials, a number, a date, a word or a few short ones.
    """
    text = value.strip()
    if _NUMBERS.fullmatch(text) or _PATH.match(text):
        return True

    if os.path.exists(text):
        return True

    if "://" in text:
        return _is_public_address(text)

    if _HOST.fullmatch(text):
        host = text.partition(":")[0]  # without the port
        return not any(map(_looks_random, host.split(".")))

    pieces = re.split(r"[\s,;:/._=-]+", text)
    is_short = len(text) <= 24 and len(pieces) <= 5
    return is_short and all(_WORD.fullmatch(piece) for piece in pieces)


def _is_public_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False

    if "@" in parts.netloc or parts.query:
        return False

    # a webhook's address is its secret
    return not any(map(_looks_random, re.split(r"[/.:]", parts.path + parts.fragment)))


def _looks_random(piece: str) -> bool:
    has_both = re.search(r"\d", piece) and re.search(r"[A-Za-z]", piece)
    return len(piece) >= 12 and bool(has_both)


def mask_named(
    value: Any, level: NameLevel = NameLevel.FIELD, *, name: str = ""
) -> Any:
    """JSON with `***` for every value whose name says that it is a secret."""
    is_empty = value is None or value == ""
    if name and not is_empty and is_secret_name(name, level):
        return MASK

    if isinstance(value, Mapping):
        return {
            key: mask_named(inner, level, name=str(key)) for key, inner in value.items()
        }

    if isinstance(value, list | tuple):
        return [mask_named(inner, level) for inner in value]

    return value


def seal(
    value: Any,
    environ: Mapping[str, str] = os.environ,
    *,
    level: NameLevel = NameLevel.FIELD,
) -> Any:
    """JSON without secrets, known by their shape, by the environment or by their name."""
    return mask_json(mask_named(value, level), environ)


def seal_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call as they stand everywhere but in what the server gets."""
    return seal(arguments, level=NameLevel.ARGUMENT)


def seal_text(
    text: str, environ: Mapping[str, str] = os.environ, *, prose: bool = True
) -> str:
    """Text without secrets. `prose`: `password: x` counts as well as `"password": "x"`."""
    folded = text.casefold()
    ends = _NAME_ENDS.items()
    if any(letters in folded and end.search(folded) for letters, end in ends):
        text = _NAMED_IN_JSON.sub(rf"\g<name>{MASK}", text)
        if prose:
            text = _NAMED_IN_TEXT.sub(rf"\g<name>{MASK}", text)

    return mask(text, environ)


def mask(text: str, environ: Mapping[str, str] = os.environ) -> str:
    """The text with `***` for each secret that is known by its value."""
    values = _secret_values(environ)
    searched_for = (KNOWN.version, values)
    if not _CLEAN.leave_out([text], searched_for):
        return text

    masked = _mask_values(text, values)
    if masked == text:
        _CLEAN.add([text], searched_for)

    return masked


def hide(value: Any) -> Any:
    """A text or JSON that leaves, whatever it is, without secrets known by their value.

    The last look at each exit; it fails closed: what cannot be searched is withheld.
    """
    try:
        return mask_json(value)
    except Exception:  # boundary: nothing may leave unsearched
        logger.exception("a text was withheld")
        return WITHHELD


def mask_json(value: Any, environ: Mapping[str, str] = os.environ) -> Any:
    """JSON with `***` for each secret in its strings, names of fields included."""
    values = _secret_values(environ)
    # one look at all of it is the usual case; the separator counts as white space
    searched_for = (KNOWN.version, values)
    has_numbers = KNOWN.has_numbers or any(map(_is_number, values))
    texts = _texts_in(value)
    if has_numbers:
        texts += map(str, _numbers_in(value))

    fresh = _CLEAN.leave_out(texts, searched_for)
    if not fresh:
        return value

    whole = "\x1e".join(fresh)
    if _mask_values(whole, values) == whole:
        _CLEAN.add(fresh, searched_for)
        return value

    return _mask_json(value, values)


class CleanTexts:
    """Texts in which nothing was found, as long as the same secrets are known: a text
    passes several exits, and what servers say of themselves stands in every request.
    """

    LONGEST = 20_000  # characters of one text
    MOST_TEXTS, MOST_CHARACTERS = 2_000, 2_000_000

    def __init__(self) -> None:
        # What was searched for, and the texts without it. One value, so that a thread
        # which searched for less adds to what it searched for, and to nothing newer.
        self._kept: tuple[Any, set[str]] = (None, set())
        self._characters = 0

    def leave_out(self, texts: list[str], of: Any) -> list[str]:
        """Those of the texts that are still to be searched; `of` says by what."""
        kept_of, clean = self._kept
        is_full = len(clean) > self.MOST_TEXTS
        if of != kept_of or is_full or self._characters > self.MOST_CHARACTERS:
            clean = set()
            self._kept, self._characters = (of, clean), 0

        return [text for text in texts if text not in clean]

    def add(self, texts: Iterable[str], of: Any) -> None:
        """These were searched, and nothing was found; unless a secret came meanwhile."""
        kept_of, clean = self._kept
        if of != kept_of:
            return

        short = [text for text in texts if len(text) <= self.LONGEST]
        self._characters += sum(map(len, short))
        clean.update(short)


_CLEAN = CleanTexts()


_BARE = (int, float, bool, type(None), list)


def _texts_in(value: Any) -> list[str]:
    """The strings of JSON, names of fields included, in no certain order."""
    found: list[str] = []
    waiting = [value]
    while waiting:
        one = waiting.pop()
        # nearly all is of these kinds, and asking for `Mapping` takes ten times as long
        kind = type(one)
        if kind is str:
            found.append(one)
        elif kind is dict or (kind not in _BARE and isinstance(one, Mapping)):
            found += map(str, one)
            waiting += one.values()
        elif kind is list or isinstance(one, list | tuple):
            waiting += one
        elif isinstance(one, str):
            found.append(one)

    return found


def _is_number(text: str) -> bool:
    # what JSON can hold without quotes
    return len(text) <= 40 and text.replace(".", "", 1).lstrip("-").isdigit()


def _numbers_in(value: Any) -> Iterator[int | float]:
    if isinstance(value, Mapping):
        value = list(value.values())

    if isinstance(value, list | tuple):
        for inner in value:
            yield from _numbers_in(inner)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


def has_secret_shape(text: str) -> bool:
    """Whether a key of a known shape stands in the text."""
    return _hide_shapes(text) != text


def secret_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables whose values are known to be secret, with these."""
    found = {}
    for name in _secret_names(tuple(environ)):
        # another thread may have taken it away
        value = environ.get(name, "")
        # a path is where a secret is, not the secret (GOOGLE_APPLICATION_CREDENTIALS)
        is_path = os.sep in value and os.path.exists(value)
        if len(value) >= LEAST and not is_path:
            found[name] = value

    return found


@functools.lru_cache(maxsize=64)
def _secret_names(names: tuple[str, ...]) -> tuple[str, ...]:
    # asked for every text, of the same few variables
    return tuple(name for name in names if is_secret_name(name, NameLevel.VARIABLE))


def mask_line(text: str, known: Iterable[str] = (), *, mark: str = MASK) -> str:
    """A command, URL or message without the known values, `user:password@` and the
    values of items that are named like secrets.
    """
    for value in known:
        text = text.replace(value, mark)

    text = USERINFO.sub(rf"\g<scheme>{mark}@", text)
    return replace_items(text, lambda name, value: mark)


def replace_items(text: str, replacement: Callable[[str, str], str]) -> str:
    """The text with `replacement(name, value)` for the value of each `name=value` that
    is named like a secret.
    """

    pieces, at = [], 0
    for item in _ITEM.finditer(text):
        name = item["name"].strip("-")
        value = _ITEM_VALUE.match(text, item.end())
        if value is None or item.start() < at:
            continue

        if is_secret_name(name, NameLevel.ADDRESS):
            pieces += [text[at : item.end()], replacement(name, value[0])]
            at = value.end()

    return "".join([*pieces, text[at:]])


def is_secret_option(word: str) -> bool:
    """Whether the word is an option, such as `--token`, after which a secret comes."""
    option = _OPTION.fullmatch(word)
    return option is not None and is_secret_name(option["name"], NameLevel.ADDRESS)


def _mask_values(text: str, values: tuple[str, ...]) -> str:
    text = KNOWN.hide(text)
    if values:
        text = finder_of(values).hide(text)

    return _hide_shapes(text)


def _hide_shapes(text: str) -> str:
    for start, shape in _SHAPES.items():
        # looking for the letters is a tenth of the pattern's time; most texts hold none
        if start in text:
            text = shape.sub(_hide_shape, text)

    return text


def _hide_shape(found: re.Match[str]) -> str:
    if "secret" not in found.re.groupindex:
        return MASK

    if found["secret"] is None:
        return found[0]

    if found[0].startswith("://"):
        return f"://{MASK}"

    return MASK


def _mask_json(value: Any, values: tuple[str, ...]) -> Any:
    if isinstance(value, str):
        return _mask_values(value, values)

    if isinstance(value, Mapping):
        return {
            _mask_values(str(name), values): _mask_json(inner, values)
            for name, inner in value.items()
        }

    if isinstance(value, list | tuple):
        return [_mask_json(inner, values) for inner in value]

    if isinstance(value, int | float) and not isinstance(value, bool):
        written = str(value)
        return value if _mask_values(written, values) == written else MASK

    return value


class EnvironmentSecrets:
    """The secret values of an environment, as it is now: a variable may be set at any
    time. Of `os.environ` what it keeps is compared, a twentieth of reading it anew.
    """

    def __init__(self) -> None:
        # the last environment, and its secret values
        self._last: tuple[dict[Any, Any], tuple[str, ...]] = ({}, ())

    def values_of(self, environ: Mapping[str, str]) -> tuple[str, ...]:
        """The values in order, each once."""
        kept = getattr(environ, "_data", None)
        before, values = self._last
        if type(kept) is dict and kept == before:
            return values

        copied = dict(kept) if type(kept) is dict else {}
        values = tuple(sorted(set(secret_variables(environ).values())))
        names = _secret_names(tuple(environ))
        # whether a value is a path is for the disk to say, each time
        if any(os.sep in environ.get(name, "") for name in names):
            self._last = ({}, ())
        else:
            self._last = (copied, values)

        return values


_ENVIRONMENT = EnvironmentSecrets()


def _secret_values(environ: Mapping[str, str]) -> tuple[str, ...]:
    return _ENVIRONMENT.values_of(environ)
