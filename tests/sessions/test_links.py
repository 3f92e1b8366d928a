"""Addresses that a server names: what a person is shown to click reads as the host that a
browser opens, and our own requests for metadata do not leave the public internet.
"""

import asyncio
import socket
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from mcp_notebook.sessions.http import _only_outside
from mcp_notebook.untrusted_text import plain_link

GOOD = "good.example"
# each reads as good.example, or as no host at all, and leads elsewhere
MISLEADING = [
    "https://[::1/",
    "https://::1]/",
    "https://good.example／.evil.example/",
    "https://good.example？.evil.example/",
    "https://good.example＃.evil.example/",
    "https://good.example：443.evil.example/",
    "https://good.example＠evil.example/",
    "https://evil.example\\.good.example/",
    "https://evil.example\\@good.example/",
    "https:\\\\evil.example/",
    "https:/\\good.example/",
    "https://good.example@evil.example/",
    "https://good.example:pass@evil.example/",
    "https://good.example%40evil.example/",
    "https://@evil.example/",
    "https://:@evil.example/",
    "https://good.example%2f.evil.example/",
    "https://good.example%2F@evil.example/",
    "https://good.example%00.evil.example/",
    "https://good.example%5c.evil.example/",
    "https://good.example%23.evil.example/",
    "https://good.example%3f.evil.example/",
    "https://good.example\t.evil.example/",
    "https://good.example\n.evil.example/",
    "https://good.exa\rmple/",
    "ht\ntps://evil.example/",
    " https://evil.example/",
    "https://evil.example/ ",
    "https://evil.example /",
    "https://good.example\u200b.evil.example/",
    "https://good.example\u202egro.elpmaxe/",
    "https://good.example\u00ad.evil.example/",
    "https://good.example\u2028.evil.example/",
    "https://good.example\x00.evil.example/",
    "https://good.example;.evil.example/",
    "https://good.example,evil.example/",
    "https://good.example|evil.example/",
    "https://good.example^evil.example/",
    "https://<good.example>/",
    'https://good.example"/',
    "https://good.example{/",
    "https://good.example..evil.example/",
    "https://.evil.example/",
    "https:///evil.example/",
    "https:evil.example/",
    "https:/evil.example/",
    "https://",
    "https:///",
    "https://?good.example",
    "https://#good.example",
    "https://good.example:99999/",
    "https://good.example:-1/",
    "https://good.example:4 43/",
    "https://good.example:４４３/",
    "https://good.example:+443/",
    "https://good.example:4_43/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.1/",
    "https://017700000001/",
    "https://0177.0.0.1/",
    "https://127.1/",
    "https://10.1/",
    "https://１２７.0.0.1/",
    "https://127。0。0。1/",
    "https://①②⑦.0.0.1/",
    "https://169.254.43518/",
    "https://4294967295/",
    "https://0/",
    "https://1.2.3.4.5/",
    "https://256.1.1.1/",
    "https://1.2.3.0x4/",
    "https://[::ffff:127.0.0.1%25eth0]/",
    "https://[fe80::1%eth0]/",
    "https://[v1.x]/",
    "http://good.example/",
    "http://127.0.0.1.evil.example/",
    "http://localhost.evil.example/",
    "http://evil.example#localhost/",
    "http://127.0.0.1@evil.example/",
    "javascript:alert(1)",
    "java\nscript:alert(1)",
    "JavaScript://good.example/%0aalert(1)",
    "data:text/html,x",
    "file:///etc/passwd",
    "ftp://good.example/",
    "blob:https://good.example/1",
    "view-source:https://good.example/",
    "//good.example/",
    "good.example",
    "",
    "https://xn--/",
    "https://xn--a.example/",
    "https://" + "a" * 64 + ".example/",
    "https://" + "a." * 140 + "example/",
]


@pytest.mark.parametrize("url", MISLEADING, ids=ascii)
def test_a_link_that_reads_as_another_host_is_not_shown(url: str) -> None:
    assert plain_link(url) == ""


PLAIN = [
    "https://good.example/path?x=1#y",
    "https://good.example:8443/a%2fb/c@d?to=https://evil.example",
    "https://GOOD.example/",
    "https://good.example./",
    "https://93.184.215.14/",
    "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/x",
    "http://localhost:8080/callback",
    "http://127.0.0.1:8080/callback",
    "http://[::1]:8080/callback",
    "https://xn--bcher-kva.example/",
    "https://1password.example/",
    "https://a-1.2b.example/",
]


@pytest.mark.parametrize("url", PLAIN)
def test_a_plain_link_is_shown_as_it_is(url: str) -> None:
    assert plain_link(url) == url


# letters of other scripts that look like Latin ones, and how they are resolved
HOMOGRAPHS = [
    "https://gооd.example/",
    "https://аpple.example/",
    "https://exаmple.com:8443/x?y=1",
    "https://bücher.example/",
    "https://пример.рф/",
    "https://faß.example/",
    "https://ｇｏｏｄ.example/",
    "https://good.example⁄.evil.example/",
    "https://good.example∕.evil.example/",
]


@pytest.mark.parametrize("url", HOMOGRAPHS)
def test_a_host_of_other_letters_is_shown_as_it_is_resolved(url: str) -> None:
    shown = plain_link(url)
    host = urlsplit(shown).hostname or ""
    assert host.isascii()
    assert "xn--" in host or host in ("good.example", "fass.example")
    assert urlsplit(shown).port == urlsplit(url).port
    assert urlsplit(shown).query == urlsplit(url).query


INSIDE = [
    "localhost", "LOCALHOST", "localhost.", "a.localhost", "printer.local", "db.internal",
    "metadata.google.internal", "metadata.google.internal.", "nas.home.arpa", "127.1", "127.0.0.1",
    "127.0.0.1.", "127.255.255.254", "0", "0.0.0.0", "2130706433", "0x7f000001", "0x7f.1",
    "017700000001", "0177.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1",
    "100.100.100.200", "169.254.169.254", "169.254.170.2", "169.254.43518", "2852039166",
    "0xa9fea9fe", "168.63.129.16", "192.0.0.192", "198.18.0.1", "224.0.0.1", "255.255.255.255",
    "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:a9fe:a9fe]", "[::127.0.0.1]",
    "[64:ff9b::7f00:1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::a9fe:a9fe]", "[2002:7f00:1::]",
    "[2002:a9fe:a9fe::1]", "[2001:0:7f00:1::]", "[fc00::1]", "[fd00:ec2::254]", "[fe80::1]",
    "[fec0::1]", "[ff02::1]", "[5f00::1]", "[100::1]", "[2001:db8::1]", "[3fff::1]",
]  # fmt: skip


async def _asked(url: str) -> httpx2.Request | None:
    """The request as it would be sent, by the sign-in of a public server."""
    request = httpx2.Request("GET", url)
    try:
        await _only_outside("https://mcp.evil.example/mcp")(request)
    except httpx2.UnsupportedProtocol:
        return None
    return request


@pytest.mark.parametrize("host", INSIDE)
@pytest.mark.parametrize("place", ["http://{}/x", "https://{}:8443/x"])
async def test_metadata_of_a_public_server_does_not_lead_inside(
    host: str, place: str
) -> None:
    try:
        url = place.format(host)
        httpx2.URL(url)
    except httpx2.InvalidURL:
        return  # no request can be made of it
    assert await _asked(url) is None


def _names(monkeypatch: pytest.MonkeyPatch, found: list[str]) -> None:
    """What the resolver says of every name, an answer a look-up in turn."""
    answers = iter(found)

    async def look_up(host: str, port: int, **_: Any) -> list[Any]:
        addresses = next(answers).split()
        return [(socket.AF_INET, None, 0, "", (one, port)) for one in addresses]

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "getaddrinfo", look_up)


@pytest.mark.parametrize(
    "addresses",
    ["10.0.0.1", "93.184.215.14 127.0.0.1", "169.254.169.254", "::ffff:10.0.0.1", "64:ff9b::a00:1"],
)  # fmt: skip
async def test_a_name_that_leads_inside_is_refused_after_resolving(
    addresses: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _names(monkeypatch, [addresses])
    assert await _asked("https://looks-public.example/token") is None


async def test_the_judged_address_is_the_one_that_is_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name that gives another address at the second look-up gains nothing."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    _names(monkeypatch, ["93.184.215.14", "127.0.0.1"])
    request = await _asked("https://looks-public.example/token")
    assert request is not None
    assert request.url.host == "93.184.215.14"
    assert request.extensions["sni_hostname"] == "looks-public.example"
    assert request.headers["Host"] == "looks-public.example"
