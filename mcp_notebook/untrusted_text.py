r"""Text of others made fit to look at: nothing in it is hidden, nothing reorders the
rest, and it is as long as there is room. And made fit to be sent on.

Whoever shows a name, an argument, a result, an error or a value writes it with
`visible` and `clip`, whether a person or a model reads it. Sources of what can hide or
reorder text: Unicode TR36 and TR39, https://trojansource.codes.

Addresses of others are judged here, too: what a person may be shown to click, and what
this machine may be sent to. A host is never judged by its spelling: loopback has dozens
(`127.1`, `0x7f000001`, `2130706433`, IPv4 inside IPv6), so a name is resolved, every
address judged, and the connection made to the judged one.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import math
import re
import socket
import unicodedata
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

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
    # Most texts hold nothing to look for, and the search takes ten times as long.
    if text.isascii() and text.isprintable():
        return text

    if lines:
        text = text.replace("\r\n", "\n")
        return _SUSPECT.sub(_escape_but_lines, text)

    return _SUSPECT.sub(_escape_character, text)


def visible_json(text: str) -> str:
    """JSON with what a reader cannot see inside of its strings as JSON's own escapes, so
    that it says the same.
    """
    return _SUSPECT.sub(_escape_in_json, text)


def _escape_in_json(found: re.Match[str]) -> str:
    if found[0] == "\n":
        return found[0]
    units = found[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def clip(text: str, limit: int) -> str:
    """At most `limit` characters, the last an ellipsis where something was cut."""
    if len(text) <= limit:
        return text

    return text[: max(limit - 1, 0)] + "…"


def _escape_but_lines(found: re.Match[str]) -> str:
    if found[0] in "\n\t":
        return found[0]

    return _escape_character(found)


def _escape_character(found: re.Match[str]) -> str:
    character = found[0]
    if character in _JOINERS and _joins(found.string, found.start()):
        return character

    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def _joins(text: str, at: int) -> bool:
    around = (text[at - 1 : at], text[at + 1 : at + 2])
    return all(
        c and not c.isascii() and unicodedata.category(c) in _JOINED for c in around
    )


# ---- addresses that others name


IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# `is_global` alone is not the test: it passes NAT64 and 6to4 addresses that lead to
# private ones, multicast, and cloud metadata addresses.
# https://www.iana.org/assignments/iana-ipv4-special-registry
_REFUSED = tuple(
    ipaddress.ip_network(network)
    for network in """
        0.0.0.0/8 100.64.0.0/10 168.63.129.16/32 192.0.0.0/24 192.88.99.0/24 224.0.0.0/3
        ::/96 64:ff9b::/96 64:ff9b:1::/48 100::/64 2001::/32 2002::/16 3fff::/20
        5f00::/16 fec0::/10
    """.split()
)
# Names of networks of one's own (RFC 6761, 6762, 8375) and of the clouds' metadata.
_INSIDE = (".localhost", ".local", ".internal", ".home.arpa", ".intranet", ".lan")


def is_public(address: str) -> bool:
    """Whether the address is one of the public internet, and so is any IPv4 address inside it."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:  # a zone ("fe80::1%eth0") or no address at all
        return False

    judged = getattr(parsed, "ipv4_mapped", None) or parsed
    # an address of one version is in no network of the other
    is_refused = any(judged in network for network in _REFUSED)
    is_odd = judged.is_multicast or judged.is_reserved or is_refused
    return judged.is_global and not is_odd


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its usual names."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def resolve_host(host: str, port: int) -> list[str]:
    """The addresses of a host name by the system's resolver; OSError or UnicodeError
    when there are none.
    """
    found = await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM
    )
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


async def find_public(host: str, port: int) -> str | None:
    """The address to connect to for a host of the public internet, "" for one that
    nobody knows, None for one that leads (also) elsewhere.
    """
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(_INSIDE):
        return None

    try:
        found = await resolve_host(name.strip("[]"), port)
    except (OSError, UnicodeError):
        return ""

    return next(iter(found), "") if all(map(is_public, found)) else None


def plain_link(url: str) -> str:
    r"""A link as it may be shown to click, its host in the letters that are resolved
    (punycode); "" for one that may not: browsers take `\` for `/`, what stands before an
    `@` reads as the host, and what does not parse is no link.
    """
    if not url.isprintable() or " " in url or "\\" in url:
        return ""

    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna").decode("ascii")
        if "[" in parts.netloc:
            ipaddress.IPv6Address(host)
        port = parts.port
    except (ValueError, UnicodeError):
        return ""

    if "@" in parts.netloc or not _is_plain_host(host) or not _may_open(parts, host):
        return ""
    if host == parts.hostname:
        return url
    if _ENDS_IN_NUMBER.search(host):
        return ""  # an address in the digits of another script

    place = host if port is None else f"{host}:{port}"
    return parts._replace(netloc=place).geturl()


_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
# Browsers read a host whose last part is a number as an address, in any base and with
# parts left out (https://url.spec.whatwg.org/#ends-in-a-number-checker).
_ENDS_IN_NUMBER = re.compile(r"(?:^|\.)(?:\d+|0x[0-9a-f]*)\.?$")


def _is_plain_host(host: str) -> bool:
    """Whether a host is a name of plain letters, or an address in its usual writing."""
    if ":" in host or _ENDS_IN_NUMBER.search(host):
        return _is_plain_address(host)

    if _HOST.fullmatch(host) is None or len(host) > 253:
        return False

    try:
        host.encode("ascii").decode("idna")
    except UnicodeError:
        return False

    return True


def _is_plain_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False

    return "%" not in host  # a zone


def _may_open(parts: SplitResult, host: str) -> bool:
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))


# Values of others made fit to be sent: JSON that every parser takes.


def sendable(value: Any) -> Any:
    """A JSON value that every parser takes: halves of characters are joined or replaced,
    numbers that JSON has no word for are null. The very same object when nothing is odd.
    """
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, TypeError):  # UnicodeEncodeError is a ValueError
        return _make_sendable(value)

    return value


def whole_text(text: str) -> str:
    """The text with halves of UTF-16 pairs joined where both are there, else as U+FFFD."""
    if text.isascii():
        return text

    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    return text


def _make_sendable(value: Any) -> Any:
    match value:
        case str():
            return whole_text(value)
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {whole_text(str(k)): _make_sendable(v) for k, v in value.items()}
        case list() | tuple():
            return list(map(_make_sendable, value))

    return value
