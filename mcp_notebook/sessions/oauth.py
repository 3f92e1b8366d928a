"""OAuth for HTTP servers, asked for in the config ("oauth": {...}): by a person in a browser, or by a key.

Nothing opens by itself: the person is shown a link by `SessionHooks.authorize`, and the answer comes to a listener on
loopback, or is pasted where there is no loopback (on a Hub or Binder).
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp.client.auth import OAuthClientProvider
from mcp.client.auth.extensions.client_credentials import (
    ClientCredentialsOAuthProvider,
    PrivateKeyJWTOAuthProvider,
    SignedJWTParameters,
)
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata

from mcp_notebook.config import HttpServer
from mcp_notebook.errors import ConnectError
from mcp_notebook.sessions.tokens import TokenStore

AUTHORIZE_LIMIT = 300.0  # seconds that the person has to sign in
PAGE = b"<!doctype html><title>mcp-notebook</title><p>Signed in. You can close this page and go back to the notebook."
Authorize = Callable[[str, str], Awaitable[str | None]]


def make_auth(name: str, spec: HttpServer, authorize: Authorize | None, store: TokenStore | None = None) -> httpx2.Auth:
    """The authorization that `spec.oauth` describes; ConnectError when it needs a person and there is none.

    Keys: client_id, client_secret, scope, issuer; grant "client_credentials"; private_key (path of a PEM file) and
    algorithm; redirect_uri, client_metadata_url. All are optional: without them the notebook registers itself.
    """
    told = dict(spec.oauth or {})
    store = store or TokenStore(spec.url)
    try:
        if "private_key" in told:
            return _by_key(spec, told, store)
        if told.get("grant") == "client_credentials":
            return _by_secret(spec, told, store)
    except KeyError as missing:
        raise ConnectError(f'server {name!r} needs {missing} in its "oauth" settings.') from None
    except OSError as error:
        reason = error.strerror
        raise ConnectError(f'server {name!r}: the private_key of its "oauth" cannot be read: {reason}.') from None
    return _by_a_person(name, spec, told, store, authorize)


def _by_key(spec: HttpServer, told: dict[str, str], store: TokenStore) -> httpx2.Auth:
    key = SignedJWTParameters(
        issuer=told["client_id"],
        subject=told["client_id"],
        signing_key=Path(told["private_key"]).expanduser().read_text("utf-8"),
        signing_algorithm=told.get("algorithm", "ES256"),
    )
    return PrivateKeyJWTOAuthProvider(
        server_url=spec.url,
        storage=store,
        client_id=told["client_id"],
        assertion_provider=key.create_assertion_provider(),
        scope=told.get("scope"),
        issuer=told.get("issuer"),
    )


def _by_secret(spec: HttpServer, told: dict[str, str], store: TokenStore) -> httpx2.Auth:
    return ClientCredentialsOAuthProvider(
        server_url=spec.url,
        storage=store,
        client_id=told["client_id"],
        client_secret=told["client_secret"],
        scope=told.get("scope"),
        issuer=told.get("issuer"),
    )


def _by_a_person(
    name: str, spec: HttpServer, told: dict[str, str], store: TokenStore, authorize: Authorize | None
) -> httpx2.Auth:
    answer = Answer(name, authorize, told.get("redirect_uri"))
    metadata = OAuthClientMetadata(
        client_name="mcp-notebook",
        redirect_uris=[answer.redirect_uri],  # type: ignore[list-item]
        grant_types=["authorization_code", "refresh_token"],
        scope=told.get("scope"),
    )
    if "client_id" in told:
        store = _Registered(store, told, answer.redirect_uri)
    return OAuthClientProvider(
        server_url=spec.url,
        client_metadata=metadata,
        storage=store,
        redirect_handler=answer.ask,
        callback_handler=answer.wait,
        client_metadata_url=told.get("client_metadata_url"),
    )


class _Registered(TokenStore):
    """Tokens from the store, the client from the config."""

    def __init__(self, store: TokenStore, told: dict[str, str], redirect_uri: str) -> None:
        self.__dict__.update(store.__dict__)
        secret = told.get("client_secret")
        self._client = OAuthClientInformationFull(
            client_id=told["client_id"],
            client_secret=secret,
            redirect_uris=[redirect_uri],  # type: ignore[list-item]
            token_endpoint_auth_method="client_secret_basic" if secret else "none",
        )

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self._client


class Answer:
    """Shows the link, and takes the answer from the loopback listener or from what the person pasted."""

    def __init__(self, name: str, authorize: Authorize | None, redirect_uri: str | None) -> None:
        self._name, self._authorize = name, authorize
        self._port = (urlsplit(redirect_uri).port or 80) if redirect_uri else _free_port()
        self.redirect_uri = redirect_uri or f"http://127.0.0.1:{self._port}/callback"
        self._answer: asyncio.Future[str] | None = None
        self._server: asyncio.Server | None = None
        self._pasting: asyncio.Task[None] | None = None

    async def ask(self, url: str) -> None:
        """The SDK's redirect handler."""
        if self._authorize is None:
            raise ConnectError(f"server {self._name!r} asks to sign in, which needs a person at the notebook.")
        parts = urlsplit(url)
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
            raise ConnectError(f"server {self._name!r} names a sign-in address that is not https; it is refused.")
        self._answer = asyncio.get_running_loop().create_future()
        try:
            self._server = await asyncio.start_server(self._receive, "127.0.0.1", self._port)
        except OSError:
            self._server = None  # the port is taken or there is no loopback: the answer can still be pasted
        self._pasting = asyncio.create_task(self._paste(self._authorize, url))

    async def wait(self) -> AuthorizationCodeResult:
        """The SDK's callback handler."""
        assert self._answer is not None
        try:
            async with asyncio.timeout(AUTHORIZE_LIMIT):
                address = await self._answer
        except TimeoutError:
            raise ConnectError(f"nobody signed in to server {self._name!r} within {AUTHORIZE_LIMIT:g} s.") from None
        finally:
            if self._server is not None:
                self._server.close()
            if self._pasting is not None:
                self._pasting.cancel()
        return _result(self._name, address)

    async def _paste(self, authorize: Authorize, url: str) -> None:
        assert self._answer is not None
        try:
            pasted = await authorize(self._name, url)
        except Exception as error:  # boundary: a hook of the display; its failure ends the wait
            pasted = None
            if not self._answer.done():
                self._answer.set_exception(ConnectError(f"the sign-in could not be shown: {error}"))
        if pasted and not self._answer.done():
            self._answer.set_result(pasted)

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self._answer is not None
        try:
            words = (await asyncio.wait_for(reader.readline(), 5)).decode("latin-1").split(" ")
            found = len(words) > 1 and urlsplit(words[1]).path == urlsplit(self.redirect_uri).path
            status = b"200 OK" if found else b"404 Not Found"
            body = PAGE if found else b""
            head = b"HTTP/1.1 %s\r\ncontent-type: text/html\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
            writer.write(head % (status, len(body)) + body)
            await writer.drain()
            if found and not self._answer.done():
                self._answer.set_result(words[1])
        except (TimeoutError, ConnectionError):
            pass
        finally:
            writer.close()


def is_loopback(host: str | None) -> bool:
    if host in ("localhost", None):
        return host == "localhost"
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _result(name: str, address: str) -> AuthorizationCodeResult:
    query = parse_qs(urlsplit(address.strip()).query)
    if "code" not in query:
        why = query.get("error_description", query.get("error", ["no code came back"]))[0]
        raise ConnectError(f"signing in to server {name!r} did not work: {why[:200]}.")
    one = {key: values[0] for key, values in query.items()}
    return AuthorizationCodeResult(code=one["code"], state=one.get("state"), iss=one.get("iss"))


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
