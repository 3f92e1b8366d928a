"""Takes secrets out of text that is written to a file: keys of known shapes, values of secret environment variables.

Shapes: the documented prefixes of Anthropic, OpenAI, GitHub, GitLab, Slack, AWS, Google, Hugging Face, npm and PyPI
keys, JSON web tokens, PEM private keys, and the password in a URL.
"""

import os
import re
from collections.abc import Mapping
from typing import Any

MASK = "***"
LEAST = 8  # characters; shorter values would take ordinary words along

_NAMES = re.compile(r"_?KEY$|TOKEN$|SECRET|PASSW(OR)?D|CREDENTIAL|_PAT$|_AUTH$", re.IGNORECASE)
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


def mask(text: str, environ: Mapping[str, str] = os.environ) -> str:
    """The text with `***` for each secret."""
    for value in _secret_values(environ):
        text = text.replace(value, MASK)
    return _SHAPES.sub(MASK, text)


def mask_json(value: Any, environ: Mapping[str, str] = os.environ) -> Any:
    """JSON with `***` for each secret in its strings, names of fields included."""
    if isinstance(value, str):
        return mask(value, environ)
    if isinstance(value, Mapping):
        return {mask(str(name), environ): mask_json(inner, environ) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [mask_json(inner, environ) for inner in value]
    return value


def _secret_values(environ: Mapping[str, str]) -> list[str]:
    # A path is where a secret is, not the secret (GOOGLE_APPLICATION_CREDENTIALS); longest first, one may hold another.
    values = {
        value
        for name, value in environ.items()
        if _NAMES.search(name) and len(value) >= LEAST and not os.path.exists(value)
    }
    return sorted(values, key=len, reverse=True)
