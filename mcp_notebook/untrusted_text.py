r"""Text of others made fit to look at: nothing in it is hidden, nothing reorders the
rest, and it is as long as there is room.

Whoever shows a name, an argument, a result, an error or a value writes it with
`visible` and `clip`, whether a person or a model reads it. Sources of what can hide or
reorder text: Unicode TR36 and TR39, https://trojansource.codes.
"""

import re
import unicodedata

# Control, format, bidi, zero-width, tag, filler characters, variation selectors but the
# emoji's (U+FE0F), and halves of surrogates: what a reader cannot see. Arabic number
# signs and other format characters that have a glyph of their own are left out.
_HIDDEN = (
    r"\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    r"\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ud800-\udfff\ufe00-\ufe0e"
    r"\ufeff\uffa0\ufff0-\ufffb\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    r"\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_MARKS = (
    r"\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
)
_SUSPECT = re.compile(f"[{_HIDDEN}]|(?<=[{_MARKS}]{{3}})[{_MARKS}]")
_JOINERS = "\u200c\u200d"
_JOINED = {"Lo", "Mn", "Mc", "So", "Sk"}  # categories of what a joiner stands between


def visible(text: str, *, lines: bool = False) -> str:
    r"""The text with characters a reader cannot see written as escapes (`\x1b`, `\u202e`).

    `lines`: keep line ends and tabs (`\r\n` becomes `\n`); otherwise they are escapes
    too. A fourth mark stacked on one letter and further ones are escapes. A joiner
    between two letters of a script that needs it, or inside an emoji, stays. The result
    always encodes to UTF-8.
    """
    if lines:
        text = text.replace("\r\n", "\n")
        return _SUSPECT.sub(_escape_but_lines, text)

    return _SUSPECT.sub(_escape_character, text)


def clip(text: str, limit: int) -> str:
    """At most `limit` characters, the last an ellipsis where something was cut."""
    if len(text) <= limit:
        return text
    return text[: max(limit - 1, 0)] + "…"


def _escape_but_lines(found: "re.Match[str]") -> str:
    if found[0] in "\n\t":
        return found[0]
    return _escape_character(found)


def _escape_character(found: "re.Match[str]") -> str:
    character = found[0]
    if character in _JOINERS and _joins(found.string, found.start()):
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def _joins(text: str, at: int) -> bool:
    around = (text[at - 1 : at], text[at + 1 : at + 2])
    return all(
        c and not c.isascii() and unicodedata.category(c) in _JOINED for c in around
    )
