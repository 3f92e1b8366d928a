"""String and bytes literals of Python: prefixes, quotes and escapes."""

import re

_ESCAPE = re.compile(
    r"\\(\r\n|[0-7]{1,3}|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|N\{[^}]*\}|.)",
    re.DOTALL,
)
_ESCAPES = {
    "\n": "",
    "\r\n": "",
    "\\": "\\",
    "'": "'",
    '"': '"',
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
}


def decoded(source: str) -> str | bytes:
    """The value of one string token with its prefix and quotes; `ValueError` with the
    reason when it has none.
    """
    quote_at = 0
    while source[quote_at] not in "'\"":
        quote_at += 1
    prefix, body = source[:quote_at].lower(), source[quote_at:]
    width = 3 if len(body) >= 6 and body[:3] in ("'''", '"""') else 1
    body = body[width:-width]
    if "b" in prefix and not body.isascii():
        raise ValueError("bytes that are not ASCII")
    if "\\" in body and "r" not in prefix:
        try:
            body = _ESCAPE.sub(_unescaped_byte if "b" in prefix else _unescaped, body)
        except (KeyError, ValueError, OverflowError) as error:
            raise ValueError("a wrong escape") from error
    return body.encode("latin-1") if "b" in prefix else body


def _unescaped(escape: re.Match[str]) -> str:
    code = escape[1]
    if code in _ESCAPES:
        return _ESCAPES[code]
    if code[0] in "01234567":
        return chr(int(code, 8))
    if code[0] in "xuU" and len(code) > 1:
        return chr(int(code[1:], 16))
    if code[0] == "N" and len(code) > 1:
        return _unicode_name(code[2:-1])
    if code in "xuUN":
        raise ValueError(code)
    return "\\" + code


def _unescaped_byte(escape: re.Match[str]) -> str:
    code = escape[1]
    if code[0] in "uUN":
        return "\\" + code
    return (
        chr(ord(_unescaped(escape)[0]) & 0xFF)
        if code[0] in "01234567"
        else _unescaped(escape)
    )


def _unicode_name(name: str) -> str:
    import unicodedata  # a megabyte of data for an escape that hardly occurs

    return unicodedata.lookup(name)
