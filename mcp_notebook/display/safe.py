"""Untrusted text made fit to look at: nothing hidden, nothing that runs, nothing that
loads from outside.

Tool names, arguments, results and errors are shown with `visible` (untrusted_text) and
`escape`, pictures with `picture`. Claude's prose goes through `prose`
(display/prose.py), because it is markdown.
"""

import base64
import binascii
import html

_SIGNATURES = {
    "image/png": (b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"),
    "image/jpeg": (b"\xff\xd8\xff", b"\xff\xd9"),
    "image/gif": (b"GIF8", b";"),
    "image/webp": (b"RIFF", b""),
}
MAX_IMAGE = 4_000_000  # characters of base64


def escape(text: str) -> str:
    """HTML of visible text, fit for element content and for quoted attributes; a dollar
    never starts a formula.
    """
    return html.escape(text, quote=True).replace("$", "<span>$</span>")


def picture(mime: str, data: str) -> str | None:
    """A `data:` URL when this is a whole raster image of an allowed type, else None."""
    if mime not in _SIGNATURES or len(data) > MAX_IMAGE:
        return None

    try:
        raw = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return None

    start, end = _SIGNATURES[mime]
    whole = len(raw) > 24 and raw.startswith(start) and end in raw[-16:]
    if whole:
        return f"data:{mime};base64,{data}"

    return None
