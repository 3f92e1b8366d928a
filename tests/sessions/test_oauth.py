"""Signing in: where the answer comes from, what is refused, and where tokens stay. The
flow: tests/conformance.
"""

import asyncio
import os
from pathlib import Path

import httpx2
import pytest
from mcp.shared.auth import OAuthToken

from mcp_notebook.config import HttpServer
from mcp_notebook.errors import ConnectError
from mcp_notebook.sessions.http import HttpTrouble, make_client
from mcp_notebook.sessions.oauth import TokenStore, make_auth
from mcp_notebook.sessions.sign_in import SignIn

LINK = "https://issuer.example.com/authorize?state=1"


async def never(server: str, url: str) -> str | None:
    return None


async def test_the_answer_comes_to_the_loopback_listener() -> None:
    answer = SignIn("s", never, None)
    await answer.ask(LINK)
    waiting = asyncio.create_task(answer.wait())
    async with httpx2.AsyncClient(trust_env=False) as browser:
        base = answer.redirect_uri.removesuffix("/callback")
        assert (await browser.get(base + "/other?code=wrong")).status_code == 404
        page = await browser.get(answer.redirect_uri + "?code=abc&state=1&iss=i")
    result = await waiting
    assert "Signed in" in page.text
    assert (result.code, result.state, result.iss) == ("abc", "1", "i")


async def test_the_answer_can_be_pasted() -> None:
    async def paste(server: str, url: str) -> str:
        assert (server, url) == ("s", LINK)
        return "http://127.0.0.1:1/callback?code=pasted"

    answer = SignIn("s", paste, None)
    await answer.ask(LINK)
    assert (await answer.wait()).code == "pasted"


@pytest.mark.parametrize(
    "link", ["file:///x$(calc)", "http://issuer.example.com/a", "javascript:alert(1)"]
)
async def test_a_link_that_is_not_https_is_never_shown(link: str) -> None:
    with pytest.raises(ConnectError, match="not https"):
        await SignIn("s", never, None).ask(link)


async def test_a_refusal_is_told_in_the_issuers_words() -> None:
    async def refused(server: str, url: str) -> str:
        return (
            "http://127.0.0.1/callback?error=access_denied&error_description=not+today"
        )

    answer = SignIn("s", refused, None)
    await answer.ask(LINK)
    with pytest.raises(ConnectError, match="not today"):
        await answer.wait()


async def test_without_a_person_there_is_no_link() -> None:
    with pytest.raises(ConnectError, match="needs a person"):
        await SignIn("s", None, None).ask(LINK)


@pytest.mark.parametrize(
    "address", ["http://169.254.169.254/x", "https://10.0.0.8/x", "https://[fd00::1]/x"]
)
async def test_metadata_inside_a_private_network_is_not_fetched(address: str) -> None:
    trouble = HttpTrouble()
    spec = HttpServer("https://example.com/mcp", auth=httpx2.BasicAuth("a", "b"))
    async with make_client(spec, trouble, 1000) as client:
        with pytest.raises(httpx2.UnsupportedProtocol, match="private network"):
            await client.get(address)


async def test_tokens_stay_in_a_file_of_this_user_alone(tmp_path: Path) -> None:
    store = TokenStore("https://example.com/mcp", tmp_path / "tokens")
    assert await store.get_tokens() is None
    await store.set_tokens(OAuthToken(access_token="secret", token_type="Bearer"))
    (file,) = (tmp_path / "tokens").iterdir()
    assert os.stat(file).st_mode & 0o777 == 0o600
    assert os.stat(tmp_path / "tokens").st_mode & 0o777 == 0o700
    again = await TokenStore(
        "https://example.com/mcp", tmp_path / "tokens"
    ).get_tokens()
    assert again is not None
    assert again.access_token == "secret"
    assert (
        await TokenStore("https://example.com/other", tmp_path / "tokens").get_tokens()
        is None
    )
    await store.forget()
    assert (
        await TokenStore("https://example.com/mcp", tmp_path / "tokens").get_tokens()
        is None
    )


async def test_a_damaged_file_of_tokens_is_as_good_as_none(tmp_path: Path) -> None:
    store = TokenStore("https://example.com/mcp", tmp_path)
    await store.set_tokens(OAuthToken(access_token="secret", token_type="Bearer"))
    next(tmp_path.iterdir()).write_text("{broken")
    assert await TokenStore("https://example.com/mcp", tmp_path).get_tokens() is None


@pytest.mark.parametrize(
    ("oauth", "kind"),
    [
        ({}, "ByPerson"),
        ({"client_id": "a"}, "ByPerson"),
        (
            {"client_id": "a", "client_secret": "b", "grant": "client_credentials"},
            "ClientCredentialsOAuthProvider",
        ),
    ],
)
def test_the_config_decides_the_kind_of_sign_in(
    oauth: dict[str, str], kind: str, tmp_path: Path
) -> None:
    spec = HttpServer("https://example.com/mcp", oauth=oauth)
    assert (
        type(make_auth("s", spec, never, TokenStore(spec.url, tmp_path))).__name__
        == kind
    )


@pytest.mark.parametrize(
    "missing",
    [{"grant": "client_credentials"}, {"private_key": "no.pem", "client_id": "a"}],
)
def test_an_incomplete_sign_in_is_said_so(
    missing: dict[str, str], tmp_path: Path
) -> None:
    spec = HttpServer("https://example.com/mcp", oauth=missing)
    with pytest.raises(ConnectError, match="oauth"):
        make_auth("s", spec, never, TokenStore(spec.url, tmp_path))
