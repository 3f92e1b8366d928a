"""What is a secret: the one rule for names, and the one for values known to be secret.

A secret is known by the name it stands under (`is_secret_name`), by its shape, or as the
value of a secret environment variable (`mask`). Shapes: the documented prefixes of
Anthropic, OpenAI, GitHub, GitLab, Slack, AWS, Google, Hugging Face, npm and PyPI keys,
JSON web tokens, PEM private keys, and the password in a URL.
"""

import functools
import os
import re
from collections.abc import Callable, Iterable, Mapping
from enum import IntEnum
from typing import Any

MASK = "***"
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

_SHAPES = re.compile(
    r"""
    \bsk-[A-Za-z0-9_-]{16,}                                    # Anthropic, OpenAI and others
    | \bgh[pousr]_[A-Za-z0-9]{20,} | \bgithub_pat_\w{20,} | \bglpat-[\w-]{16,}
    | \bxox[abeoprs]-[\w-]{10,} | \b(?:AKIA|ASIA)[0-9A-Z]{16}\b | \bAIza[\w-]{30,}
    | \bhf_[A-Za-z0-9]{20,} | \bnpm_[A-Za-z0-9]{30,} | \bpypi-[\w-]{30,}
    | \beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]+                     # JSON web token
    | -----BEGIN[ ][A-Z ]*PRIVATE[ ]KEY-----.*?(?:-----END[ ][A-Z ]*PRIVATE[ ]KEY-----|\Z)
    | (?<=://)[^\s:/@]{0,100}:[^\s/@]{1,200}(?=@)              # user:password in a URL
    """,
    re.VERBOSE | re.DOTALL,
)
# What one of the patterns begins with. Looking for these is a tenth of the pattern's
# time, and most texts hold none.
_SHAPE_STARTS = (
    *("sk-", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox"),
    *("AKIA", "ASIA", "AIza", "hf_", "npm_", "pypi-", "eyJ", "-----BEGIN ", "://"),
)
_NAME_STARTS = ("pass", "secret", "key", "credent", "author", "token")
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

USERINFO = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^/\s@?#]+@", re.IGNORECASE)
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
    if any(word in folded for word in _NAME_STARTS):
        text = _NAMED_IN_JSON.sub(rf"\g<name>{MASK}", text)
        if prose:
            text = _NAMED_IN_TEXT.sub(rf"\g<name>{MASK}", text)

    return mask(text, environ)


def mask(text: str, environ: Mapping[str, str] = os.environ) -> str:
    """The text with `***` for each secret that is known by its value."""
    return _mask_values(text, _secret_values(environ))


def mask_json(value: Any, environ: Mapping[str, str] = os.environ) -> Any:
    """JSON with `***` for each secret in its strings, names of fields included."""
    return _mask_json(value, _secret_values(environ))


def has_secret_shape(text: str) -> bool:
    """Whether a key of a known shape stands in the text."""
    return _SHAPES.search(text) is not None


def secret_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables whose values are known to be secret, with these."""
    found = {}
    for name in environ:
        if not is_secret_name(name, NameLevel.VARIABLE):
            continue

        value = environ[name]
        # a path is where a secret is, not the secret (GOOGLE_APPLICATION_CREDENTIALS)
        if len(value) >= LEAST and not os.path.exists(value):
            found[name] = value

    return found


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


def _mask_values(text: str, values: list[str]) -> str:
    for value in values:
        text = text.replace(value, MASK)
    if any(start in text for start in _SHAPE_STARTS):
        text = _SHAPES.sub(MASK, text)
    return text


def _mask_json(value: Any, values: list[str]) -> Any:
    if isinstance(value, str):
        return _mask_values(value, values)
    if isinstance(value, Mapping):
        return {
            _mask_values(str(name), values): _mask_json(inner, values)
            for name, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_mask_json(inner, values) for inner in value]

    return value


def _secret_values(environ: Mapping[str, str]) -> list[str]:
    # Looked up anew for every text: a variable may be set at any time. The longest comes
    # first, for one may hold another.
    return sorted(set(secret_variables(environ).values()), key=len, reverse=True)
