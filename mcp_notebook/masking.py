"""Takes secrets out of text that is written to a file: keys of known shapes, values of
secret environment variables.

Shapes: the documented prefixes of Anthropic, OpenAI, GitHub, GitLab, Slack, AWS,
Google, Hugging Face, npm and PyPI keys, JSON web tokens, PEM private keys, and the
password in a URL.
"""

import functools
import os
import re
from collections.abc import Mapping
from typing import Any

MASK = "***"
LEAST = 8  # characters; shorter values would take ordinary words along

_NAMES = re.compile(
    r"_?KEY$|TOKEN$|SECRET|PASSW(OR)?D|CREDENTIAL|_PAT$|_AUTH$", re.IGNORECASE
)
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

# Names whose values are secrets. A bare "token" is not among them: it is what pages are
# turned with.
_SECRET = (
    r"pass(?:word|wd|phrase)|secret|(?:api|private|access|secret)[_-]?key|credentials?|authorization"  # noqa: S105 - a pattern
    r"|(?:access|refresh|auth|bearer|api|session)[_-]?token"
)
_SECRET_NAME = re.compile(rf"(?:{_SECRET})$", re.IGNORECASE)
_NAMED_IN_JSON = re.compile(
    rf"""
    (?P<name>(?:\\?["']|"")[\w-]*(?:{_SECRET})(?:\\?["']|"")\s*:\s*)
    (?: \\"(?:(?!\\").)*\\"                 # JSON inside a JSON string
      | ""[^",\n]+""                          # JSON inside a CSV cell
      | "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*'
      | [\w.+-]+
    )""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
_NAMED_IN_TEXT = re.compile(
    rf"(?P<name>\b[\w-]*(?:{_SECRET})\s*[:=]\s*)(?:(?:Bearer|Basic)\s+)?[^\s,;\"'(){{}}\[\]]+",
    re.IGNORECASE,
)


def is_secret_name(name: str) -> bool:
    """Whether a field, column or argument of this name holds a secret."""
    return bool(_SECRET_NAME.search(name))


def mask_named(value: Any, name: str = "") -> Any:
    """JSON with `***` for every value whose name says that it is a secret."""
    if name and is_secret_name(name) and value not in (None, ""):
        return MASK
    if isinstance(value, Mapping):
        return {key: mask_named(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [mask_named(inner) for inner in value]
    return value


def seal(value: Any, environ: Mapping[str, str] = os.environ) -> Any:
    """JSON without secrets, known by their shape, by the environment or by their name."""
    return mask_json(mask_named(value), environ)


def seal_text(
    text: str, environ: Mapping[str, str] = os.environ, *, prose: bool = True
) -> str:
    """Text without secrets. `prose`: `password: x` counts as well as `"password": "x"`."""
    text = _NAMED_IN_JSON.sub(rf"\g<name>{MASK}", text)
    text = _NAMED_IN_TEXT.sub(rf"\g<name>{MASK}", text) if prose else text
    return mask(text, environ)


def mask(text: str, environ: Mapping[str, str] = os.environ) -> str:
    """The text with `***` for each secret."""
    return _mask(text, _secret_values(environ))


def mask_json(value: Any, environ: Mapping[str, str] = os.environ) -> Any:
    """JSON with `***` for each secret in its strings, names of fields included."""
    return _mask_json(value, _secret_values(environ))


def _mask(text: str, values: list[str]) -> str:
    for value in values:
        text = text.replace(value, MASK)
    return _SHAPES.sub(MASK, text)


def _mask_json(value: Any, values: list[str]) -> Any:
    if isinstance(value, str):
        return _mask(value, values)
    if isinstance(value, Mapping):
        return {
            _mask(str(name), values): _mask_json(inner, values)
            for name, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_mask_json(inner, values) for inner in value]
    return value


def _secret_values(environ: Mapping[str, str]) -> list[str]:
    # Looked up anew for every text, so only the values of names that count are read;
    # longest first, one may hold
    # another. A path is where a secret is, not the secret (GOOGLE_APPLICATION_CREDENTIALS).
    values = {environ[name] for name in environ if _is_secret_variable(name)}
    return sorted(
        (v for v in values if len(v) >= LEAST and not os.path.exists(v)),
        key=len,
        reverse=True,
    )


@functools.lru_cache(maxsize=4096)
def _is_secret_variable(name: str) -> bool:
    return _NAMES.search(name) is not None
