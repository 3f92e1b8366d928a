"""One sign-in of a person: the link is shown, the answer comes to a listener on
loopback or is pasted.

Nothing opens by itself. Where there is no loopback (on a Hub or Binder), the person
pastes the address that the browser ended on.
"""

from __future__ import annotations

import asyncio
import html
import secrets
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit

from mcp.shared.auth import AuthorizationCodeResult

from mcp_notebook.errors import ConnectError, NotebookError
from mcp_notebook.untrusted_text import is_loopback, plain_link

AUTHORIZE_LIMIT = 300.0  # seconds that the person has to sign in
SIGNED_IN = "signed in"  # how the question ended, told to who shows it
PAGE = (
    "<!doctype html><meta "
    "charset=utf-8><title>mcp-notebook</title><p>{} You can close this page."
)
HEAD = (
    "HTTP/1.1 {}\r\ncontent-type: text/html; charset=utf-8\r\n"
    "content-length: {}\r\nconnection: close\r\n\r\n"
)
Authorize = Callable[[str, str], Awaitable[str | None]]


class SignIn:
    """The two handlers that the SDK's provider asks for: `ask` shows the link, `wait`
    gives the code.
    """

    def __init__(
        self, name: str, authorize: Authorize | None, redirect_uri: str | None
    ) -> None:
        self._name, self._authorize = name, authorize
        self._told = redirect_uri is not None
        self.redirect_uri = redirect_uri or f"http://127.0.0.1:{_free_port()}/callback"
        self._state = ""
        self._answer: asyncio.Future[str] | None = None
        self._server: asyncio.Server | None = None
        self._showing: asyncio.Task[None] | None = None

    def adopt(self, redirect_uri: str) -> bool:
        """Use the address that this notebook registered with earlier; False when
        something else listens there.
        """
        if redirect_uri == self.redirect_uri:
            return True

        if self._told or not _is_free(_port(redirect_uri)):
            return False

        self.redirect_uri = redirect_uri
        return True

    async def ask(self, url: str) -> None:
        """The SDK's redirect handler."""
        if self._authorize is None:
            raise ConnectError(
                f"server {self._name!r} asks to sign in, which needs a person at the notebook."
            )

        url = plain_link(url)
        if not url:
            raise ConnectError(
                f"server {self._name!r} names a sign-in address that is not https, or "
                "that browsers read otherwise; it is refused."
            )

        self._state = parse_qs(urlsplit(url).query).get("state", [""])[0]
        self._answer = asyncio.get_running_loop().create_future()
        if is_loopback(urlsplit(self.redirect_uri).hostname or ""):
            # The port is taken or there is no loopback: the answer can still be pasted.
            with suppress(OSError):
                self._server = await asyncio.start_server(
                    self._receive, "127.0.0.1", _port(self.redirect_uri)
                )

        self._showing = asyncio.create_task(self._show(self._authorize, url))

    async def wait(self) -> AuthorizationCodeResult:
        """The SDK's callback handler."""
        assert self._answer is not None
        try:
            async with asyncio.timeout(AUTHORIZE_LIMIT):
                address = await self._answer

            return _result(self._name, address)
        except TimeoutError:
            raise ConnectError(
                f"nobody signed in to server {self._name!r} within {AUTHORIZE_LIMIT:g} s."
            ) from None
        finally:
            if self._server is not None:
                self._server.close()

            if self._showing is not None:
                self._showing.cancel(SIGNED_IN if _has_code(self._answer) else None)

    async def _show(self, authorize: Authorize, url: str) -> None:
        assert self._answer is not None
        try:
            pasted = await authorize(self._name, url)
        except NotebookError as error:  # nobody is there, or it was declined
            pasted = self._fail(error)
        except Exception as error:
            # boundary: a hook of the display; its failure ends the wait
            pasted = self._fail(
                ConnectError(
                    f"the sign-in could not be shown ({type(error).__name__})."
                )
            )

        if pasted and not self._answer.done():
            self._answer.set_result(pasted)

    def _fail(self, error: NotebookError) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    async def _receive(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """One request to the listener; only one that holds this sign-in's state is the answer."""
        assert self._answer is not None
        with suppress(TimeoutError, ConnectionError, ValueError):
            words = (
                (await asyncio.wait_for(reader.readline(), 5))
                .decode("latin-1")
                .split(" ")
            )
            if len(words) > 1:
                address = words[1]
            else:
                address = ""

            status, said = self._judge(address)
            body = PAGE.format(html.escape(said)).encode()
            writer.write(HEAD.format(status, len(body)).encode() + body)
            await writer.drain()
            if status == "200 OK" and not self._answer.done():
                self._answer.set_result(address)

        writer.close()

    def _judge(self, address: str) -> tuple[str, str]:
        parts = urlsplit(address)
        if parts.path != urlsplit(self.redirect_uri).path:
            return "404 Not Found", "There is nothing here."

        query = parse_qs(parts.query)
        if not secrets.compare_digest(
            query.get("state", [""])[0].encode(), self._state.encode()
        ):
            return (
                "400 Bad Request",
                "This belongs to another sign-in; follow the link in the notebook again.",
            )

        if "code" not in query:
            return "200 OK", f"Signing in did not work: {_reason(query)}."

        return "200 OK", "Signed in: the notebook goes on."


def _result(name: str, address: str) -> AuthorizationCodeResult:
    query = parse_qs(urlsplit(address.strip().strip("'\"<>")).query)
    if "code" not in query:
        raise ConnectError(
            f"signing in to server {name!r} did not work: {_reason(query)}."
        )

    one = {key: values[0] for key, values in query.items()}
    return AuthorizationCodeResult(
        code=one["code"], state=one.get("state"), iss=one.get("iss")
    )


def _reason(query: dict[str, list[str]]) -> str:
    told = query.get("error_description") or query.get("error")
    if told:
        return told[0][:200].rstrip(".")

    return "the address holds no code; paste the whole of it"


def _has_code(answer: asyncio.Future[str]) -> bool:
    return (
        answer.done()
        and not answer.cancelled()
        and answer.exception() is None
        and "code=" in answer.result()
    )


def _port(uri: str) -> int:
    parts = urlsplit(uri)
    return parts.port or (443 if parts.scheme == "https" else 80)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False

        return True
