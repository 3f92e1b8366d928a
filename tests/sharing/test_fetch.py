"""Fetching pages of the public internet, and of nothing else."""

import time
from collections.abc import AsyncIterator

import psutil
import pytest
from mcp import Client

from mcp_notebook.errors import ToolError
from mcp_notebook.sharing.fetch import FetchRules, build_fetch_server, fetch, is_public
from tests.sharing.attacks import cases, statement
from tests.sharing.web import Web, serving

SECONDS = 2.0
ANSWERED = {
    "ssrf-070",
    "ssrf-074",
    "ssrf-075",
    "ssrf-080",
    "ssrf-083",
    "ssrf-086",
    "ssrf-088",
    "ssrf-090",
}
ANSWERED |= {"ssrf-091", "ssrf-092"}


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    async with serving() as web:
        yield web


def rules_for(web: Web, **options: object) -> FetchRules:
    """pub.test is a public name that leads to the test server, which the person opened."""

    async def resolve(host: str, port: int) -> list[str]:
        return (
            ["127.0.0.1"]
            if host == "pub.test"
            else await FetchRules().resolve(host, port)
        )

    allowed = frozenset({f"127.0.0.1:{web.port}"})
    return FetchRules(allowed=allowed, resolve=resolve, seconds=SECONDS, **options)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("case", cases("fetch_ssrf.jsonl"))
async def test_attack_on_fetch(case: dict, web: Web):
    """Only the pages of the corpus that may be read are read, within the deadline and
    without growing the process.
    """
    parts = case["url"] if isinstance(case["url"], list) else [[case["url"], 1]]
    url = statement({"statement_parts": parts}, PUB=f"http://pub.test:{web.port}")
    before, started = psutil.Process().memory_info().rss, time.monotonic()
    async with Client(build_fetch_server(rules_for(web))) as client:
        result = await client.call_tool("fetch_url", {"url": url})
    # a hang guard; the machine may be busy
    assert time.monotonic() - started < SECONDS + 6
    assert psutil.Process().memory_info().rss - before < 60_000_000
    assert result.is_error == (case["id"] not in ANSWERED), result.content[0].text[:300]
    assert "root:" not in result.content[0].text


async def test_a_page_comes_as_framed_text_without_scripts(web: Web):
    """Who reads it sees where it comes from and that it is not to be obeyed."""
    async with Client(build_fetch_server(rules_for(web))) as client:
        text = (
            (
                await client.call_tool(
                    "fetch_url", {"url": f"http://pub.test:{web.port}/small"}
                )
            )
            .content[0]
            .text
        )
    first, *lines, last = text.splitlines()
    assert lines == ["T", "Hello", "a&b", "meta bold"]
    assert first.startswith(
        f"[200 text/html from http://pub.test:{web.port}/small: untrusted content"
    )
    marker = last.removeprefix("[end of the untrusted content ").removesuffix("]")
    assert len(marker) == 24
    assert marker in first


async def test_a_long_page_is_cut_at_whole_characters_and_says_so(web: Web):
    """The first 50,000 bytes, and the figure of what there is."""
    page = await fetch(
        f"http://pub.test:{web.port}/plain", rules_for(web, max_bytes=49_999)
    )
    assert page.text == "é" * 24_999
    assert page.cut == "cut at 49,999 of 60,000 bytes"


async def test_redirects_are_followed_and_judged_at_each_hop(web: Web):
    """A redirect to a good page is followed, others are refused."""
    base = f"http://pub.test:{web.port}"
    assert (await fetch(f"{base}/to-small", rules_for(web))).url == f"{base}/small"
    for path, why in [
        ("/loop", "5 redirects"),
        ("/to-file", "http://"),
        ("/redirect?to=http://127.0.0.1/", "public"),
    ]:
        with pytest.raises(ToolError, match=why):
            await fetch(base + path, rules_for(web))


async def test_the_name_is_resolved_once_and_the_judged_address_is_used(web: Web):
    """An answer that changes between the check and the connection does not matter:
    there is no second question.
    """
    asked = []

    async def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    rules = FetchRules(
        resolve=rebinding, allowed=frozenset({f"127.0.0.1:{web.port}"}), seconds=SECONDS
    )
    page = await fetch(f"http://rebind.test:{web.port}/small", rules)
    assert page.status == 200
    assert asked == ["rebind.test"]
    assert f"Host: rebind.test:{web.port}" in web.requests[0]


async def test_one_bad_address_among_good_ones_is_refused():
    """A name that leads both outside and inside is not fetched."""

    async def both(host: str, port: int) -> list[str]:
        return ["93.184.216.34", "10.0.0.1"]

    with pytest.raises(ToolError, match="public internet"):
        await fetch("http://mixed.test/", FetchRules(resolve=both))


async def test_only_the_named_domains_are_fetched():
    """With a list of domains no other is even resolved; a name that only ends alike is another."""
    rules = FetchRules(domains=("example.org",))
    for host in ("example.com", "badexample.org"):
        with pytest.raises(ToolError, match=r"only example\.org"):
            await fetch(f"https://{host}/", rules)


async def test_no_cookies_are_kept(web: Web):
    """The second request does not carry what the first was given."""
    for _ in range(2):
        await fetch(f"http://pub.test:{web.port}/set-cookie", rules_for(web))
    assert "\r\ncookie:" not in web.requests[1].lower()


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "2606:2800:220:1::1", "1.1.1.1", "::ffff:1.1.1.1"]
)
def test_public_addresses_are_public(address: str):
    """The judgement is not a refusal of everything."""
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "64:ff9b::1.1.1.1",
        "::ffff:10.0.0.1",
        "fe80::1%eth0",
        "240.0.0.1",
        "3fff::1",
        "nonsense",
    ],
)
def test_other_addresses_are_not(address: str):
    """Translated, mapped, zoned, reserved."""
    assert not is_public(address)
