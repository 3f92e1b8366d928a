"""Untrusted text made fit to look at: nothing hidden, nothing that runs, nothing that
loads from outside.

Tool names, arguments, results and errors are shown with `visible` and `escape`,
pictures with `picture`. Claude's prose goes through `prose` (display/prose.py), because
it is markdown.
"""

import base64
import binascii
import html
import re
import unicodedata

# Control, format, bidi, zero-width, tag and filler characters: what a reader cannot
# see. Arabic number signs and
# other format characters that have a glyph of their own are left out.
_HIDDEN = (
    r"\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    r"\u2800\u3164\ud800-\udfff\ufeff\uffa0\ufff0-\ufffb\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    r"\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_MARKS = (
    r"\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
)
_SUSPECT = re.compile(f"[{_HIDDEN}]|(?<=[{_MARKS}]{{3}})[{_MARKS}]")
_JOINERS = "\u200c\u200d"

_SIGNATURES = {
    "image/png": (b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"),
    "image/jpeg": (b"\xff\xd8\xff", b"\xff\xd9"),
    "image/gif": (b"GIF8", b";"),
    "image/webp": (b"RIFF", b""),
}
MAX_IMAGE = 4_000_000  # characters of base64


def visible(text: str, *, lines: bool = False) -> str:
    r"""The text with characters a reader cannot see written as escapes (`\x1b`, `\u202e`).

    `lines`: keep line ends and tabs (`\r\n` becomes `\n`); otherwise they are escapes
    too. A fourth mark stacked on one letter and further ones are escapes. A joiner
    between two letters of a script that needs it, or inside an emoji, stays. The result
    always encodes to UTF-8.
    """
    if lines:
        text = text.replace("\r\n", "\n")
        return _SUSPECT.sub(
            lambda found: found[0] if found[0] in "\n\t" else _shown(found), text
        )
    return _SUSPECT.sub(_shown, text)


def escape(text: str) -> str:
    """HTML of visible text, fit for element content and for quoted attributes; a dollar
    never starts a formula.
    """
    return html.escape(text, quote=True).replace("$", "<span>$</span>")


def clip(text: str, limit: int) -> str:
    """At most `limit` characters, the last an ellipsis where something was cut."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


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
    return f"data:{mime};base64,{data}" if whole else None


def _shown(found: "re.Match[str]") -> str:
    character = found[0]
    if character in _JOINERS and _joins(found.string, found.start()):
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def _joins(text: str, at: int) -> bool:
    around = (text[at - 1 : at], text[at + 1 : at + 2])
    return all(
        c and not c.isascii() and unicodedata.category(c) in _JOINED for c in around
    )


_JOINED = {"Lo", "Mn", "Mc", "So", "Sk"}
