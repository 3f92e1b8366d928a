"""An HTTP client for MCP whose failures are ordinary replies.

In the SDK's Streamable HTTP transport a refused connection, a cut body or a failing
authorization ends the task group of the whole connection (python-sdk#3560), and the
status of a refusal is lost. Here each becomes a JSON-RPC error that answers its own
request, and the connection goes on.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import logging
import math
import os
import re
import ssl
import zlib
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import httpx2

from mcp_notebook.config import HttpServer, mask
from mcp_notebook.errors import ConnectError, NotebookError
from mcp_notebook.sessions.reply_repair.tap import mend_error, mend_halves
from mcp_notebook.untrusted_text import find_public, is_loopback, visible

logger = logging.getLogger(__name__)

# our own code: the server or the network said no before the tool could run or while it
# ran
REFUSED = -32098
ANSWER_BYTES = 64 * 1024  # bytes read of the body of a refusal
# What servers say to a session that they do not know any more, each in its own words
# (anthropics/claude-code#17412, python-sdk#1676, typescript-sdk's transports).
SESSION_GONE = re.compile(
    r"(?:server|client|connection|session|transport) (?:is |was |has )?"
    r"not (?:yet |been )*initiali[sz]ed"
    r"|^(?:bad request: )?not (?:yet )?initiali[sz]ed"
    r"|(?:no valid|invalid|unknown|expired|missing|unrecogni[sz]ed) (?:or \w+ )?"
    r"(?:mcp[- ]?)?session"
    r"|mcp[- ]session[- ]id"
    r"|\bsession\b.{0,60}"
    r"(?:not found|expired|invalid|unknown|terminated|not exist|no longer|closed)",
    re.IGNORECASE,
)
SESSION_HEADER = "mcp-session-id"
# What a status means where that is more than a refusal
MEANINGS = {
    429: "has had too many requests, and answered",
    502: "is behind a gateway that cannot reach it, and answered",
    503: "is not available at the moment, and answered",
    504: "is behind a gateway that waited in vain for it, and answered",
}
# A request that is answered so was not begun (RFC 6585, RFC 9110).
NOT_TAKEN_ON = (429, 503)
BUSY = (*NOT_TAKEN_ON, 502)
MOST_RETURNS = 3  # how often a busy server is asked again
LONGEST_WAIT = 30.0  # seconds; who asks for more is told to the person
LONGEST_REASON = 200  # letters
# A page's own program and style are no words, nor are tags.
MARKUP = re.compile(
    r"<(script|style|head)\b.*?</\1\s*>|<[^>]{0,2000}>", re.DOTALL | re.IGNORECASE
)
UNKNOWN_HOST = ("name or service", "nodename", "getaddrinfo", "resolution")
# how long a tool may be silent is the call's own limit
TIMEOUT = httpx2.Timeout(30.0, read=None)


@dataclass
class HttpTrouble:
    """What last went wrong over HTTP, for the sentence that the person sees."""

    status: int | None = None
    sentence: str = ""
    session_lost: bool = False
    sign_in: bool = False  # the refusal said where a person can sign in


class SofteningClient(httpx2.AsyncClient):
    """httpx2's client; failures of MCP requests become JSON-RPC errors, JSON bodies have a cap."""

    def __init__(self, trouble: HttpTrouble, cap: int, **options: Any) -> None:
        super().__init__(**options)
        self._trouble, self._cap = trouble, cap

    async def send(  # type: ignore[override]
        self, request: httpx2.Request, **options: Any
    ) -> httpx2.Response:
        message = _message_of(request)
        if message is None:
            return await self._bound_reply(request, **options)

        try:
            response = await self._send_when_asked(request, message, **options)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            # boundary: anything raised here would end the whole connection (see above)
            logger.info("request failed", exc_info=True)
            self._trouble.status, self._trouble.sentence = (
                None,
                describe_failure(error, request.url),
            )
            return _refusal(request, message, 503, self._trouble.sentence)

        if response.status_code >= 400:
            return await self._refuse_request(request, message, response)

        self._trouble.status = response.status_code
        return await _mend_small(response)

    async def _send_when_asked(
        self, request: httpx2.Request, message: dict[str, Any], **options: Any
    ) -> httpx2.Response:
        """The reply; a server that is busy and says when to come again is asked again
        then. The call's own limit of time ends the waiting, too.
        """
        for _ in range(MOST_RETURNS):
            response = await self._bound_reply(request, **options)
            wait = _wait_of_busy(response)
            acts = message.get("method") == "tools/call"
            # Behind a gateway (502) the tool may have run: it must not run twice.
            may_repeat = response.status_code in NOT_TAKEN_ON or not acts
            if wait is None or wait > LONGEST_WAIT or not may_repeat:
                return response

            logger.info(
                "%s asks to wait %.1f s (HTTP %s)",
                _place(str(request.url)),
                wait,
                response.status_code,
            )
            await response.aclose()
            await asyncio.sleep(wait)

        return await self._bound_reply(request, **options)

    async def _bound_reply(
        self, request: httpx2.Request, *, stream: bool = False, **options: Any
    ) -> httpx2.Response:
        """The reply with a body that has bounds; read whole unless it is streamed."""
        response = await super().send(request, stream=True, **options)
        bound_body(response, self._cap)
        if not stream:
            try:
                await response.aread()
            finally:
                await response.aclose()

        return response

    async def _refuse_request(
        self,
        request: httpx2.Request,
        message: dict[str, Any],
        response: httpx2.Response,
    ) -> httpx2.Response:
        body = await _read_some(response)
        status = response.status_code
        self._trouble.status, self._trouble.sentence = (
            status,
            refusal_sentence(status, request.url, find_reason(body))
            + _say_wait(_wait_of_busy(response)),
        )
        self._trouble.sign_in = (
            status == 401
            and "resource_metadata" in response.headers.get("www-authenticate", "")
        )
        in_session = SESSION_HEADER in request.headers
        told = SESSION_GONE.search(body.decode("utf-8", "replace"))
        if in_session and (status == 404 or (status in (400, 409, 410) and told)):
            self._trouble.session_lost = True

        if _is_error_reply(body):
            headers = {"content-type": "application/json"}
            return httpx2.Response(
                status, content=body, headers=headers, request=request
            )

        return _refusal(request, message, status, self._trouble.sentence)


def make_client(
    spec: HttpServer, trouble: HttpTrouble, cap: int, auth: Any = None
) -> SofteningClient:
    """A client for one server; a client certificate is read from `spec.certificate`."""
    headers = {"accept-encoding": ENCODINGS, **spec.headers}
    options: dict[str, Any] = {
        "headers": headers,
        "timeout": TIMEOUT,
        "auth": auth or spec.auth,
    }
    if spec.certificate is not None or spec.ca is not None:
        options["verify"] = _tls(spec)

    if options["auth"] is not None:
        options["event_hooks"] = {"request": [_only_outside(spec.url)]}

    # Shorter than the five seconds after which uvicorn closes an idle connection.
    return SofteningClient(
        trouble, cap, limits=httpx2.Limits(keepalive_expiry=3.0), **options
    )


def _tls(spec: HttpServer) -> ssl.SSLContext:
    """What the server is checked with, and what it may check us with; ConnectError when
    a file is not usable.
    """
    try:
        context = ssl.create_default_context(
            cafile=os.path.expanduser(spec.ca) if spec.ca else None
        )
        if spec.certificate is not None:
            if spec.key:
                key = os.path.expanduser(spec.key)
            else:
                key = None

            # Without this an encrypted key asks for its password on the terminal of the
            # notebook's server.
            context.load_cert_chain(
                os.path.expanduser(spec.certificate), key, password=_no_password
            )
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = getattr(error, "strerror", None) or str(error)
        raise ConnectError(
            f"the certificate, key or ca of {mask(spec.url)} is not usable: {reason}."
        ) from None

    return context


def _no_password() -> str:
    raise ValueError(
        "the key is encrypted; use one without a password that only you can read"
    )


def _only_outside(own: str) -> Any:
    """A request hook: metadata that a server names must not lead into this machine's
    network (SSRF).
    """
    home = urlsplit(own).hostname
    # a proxy looks names up itself
    proxied = bool(getproxies())

    async def check(request: httpx2.Request) -> None:
        url = request.url
        if url.host == home or (is_loopback(url.host) and is_loopback(home or "")):
            return

        port = url.port or (443 if url.scheme == "https" else 80)
        address = await find_public(url.host, port)
        if address is None:
            raise httpx2.UnsupportedProtocol(
                "the server names an address inside a private network, which is refused"
            )

        if address and not proxied:
            # The judged address and no other: a second look-up may give another one.
            request.extensions = {**request.extensions, "sni_hostname": url.host}
            request.url = url.copy_with(host=address)

    return check


def describe_failure(error: BaseException, url: httpx2.URL | str) -> str:
    """One clause on a network failure, with host and port and without anything secret."""
    place = _place(str(url))
    if isinstance(error, NotebookError):
        return error.message.rstrip(".")

    if isinstance(error, httpx2.UnsupportedProtocol):
        return str(error)

    if isinstance(error, httpx2.ConnectError):
        text = str(error).lower()
        if any(word in text for word in ("certificate", "ssl")):
            return f"the TLS connection to {place} failed ({mask(str(error))[:120]})"

        # Each system has its own words for a name that nobody knows.
        if any(word in text for word in UNKNOWN_HOST):
            return f"the host of {place} is not known"

        return f"the connection to {place} was refused; is the server running?"

    if isinstance(error, httpx2.TimeoutException):
        return f"{place} did not accept the connection in time"

    if isinstance(error, httpx2.TransportError):
        return f"the connection to {place} broke before the reply came"

    return f"the request to {place} failed ({type(error).__name__}: {mask(str(error))[:200]})"


def refusal_sentence(status: int, url: httpx2.URL | str, reason: str = "") -> str:
    """One clause on an HTTP status, with what to do about it. `reason`: what the server
    says itself.
    """
    place = _place(str(url))
    told = f', and says "{reason}"' if reason else ""
    if status in (401, 403):
        return (
            f"{place} asks for authorization (HTTP {status}){told}; sign in with --oauth, "
            "or give a token with --header 'Authorization: Bearer ${TOKEN}'"
        )

    if status == 404:
        path = urlsplit(str(url)).path
        if path.rstrip("/").endswith("/mcp"):
            hint = ""
        else:
            hint = "; the address of an MCP server often ends in /mcp"

        return f"{place} has nothing at {path or '/'} (HTTP 404){hint}"

    if status == 421:
        return f"{place} does not accept this host name (HTTP 421)"

    meaning = MEANINGS.get(status, "answered")
    return f"{place} {meaning} with HTTP {status}{told}"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds until the moment that `Retry-After` names: it is a number of seconds or a
    date (RFC 9110); None where it is neither.
    """
    asked = headers.get("retry-after", "").strip()
    with suppress(ValueError):
        seconds = float(asked)
        return max(0.0, seconds) if math.isfinite(seconds) else None

    try:
        moment = parsedate_to_datetime(asked)
    except ValueError:
        return None

    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)

    left = moment - datetime.datetime.now(datetime.UTC)
    return max(0.0, left.total_seconds())


def _wait_of_busy(response: httpx2.Response) -> float | None:
    if response.status_code in BUSY:
        return retry_after(response.headers)

    return None


def _say_wait(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 120:
        return f"; ask again in {seconds:.0f} s"

    return f"; ask again in {seconds / 60:.0f} minutes"


def find_reason(body: bytes) -> str:
    """What the body of a refusal says, on one line without markup; secrets are hidden."""
    text = body.decode("utf-8", "replace")
    with suppress(ValueError):
        text = _reason_in(json.loads(text)) or text

    if "<" in text:
        text = MARKUP.sub(" ", text)

    line = visible(mask(" ".join(text.split())))
    return line if len(line) <= LONGEST_REASON else f"{line[:LONGEST_REASON]}…"


def _reason_in(answer: Any) -> str:
    """The words in an error of any of the usual forms; empty where there are none."""
    if isinstance(answer, str):
        return answer
    if not isinstance(answer, dict):
        return ""

    keys = ("error_description", "message", "detail", "error", "title", "reason")
    reasons = (_reason_in(answer.get(key)) for key in keys)
    return next(filter(None, reasons), "")


def _place(url: str) -> str:
    parts = urlsplit(url)
    if parts.port:
        return f"{parts.hostname}:{parts.port}"

    return str(parts.hostname)


def _message_of(request: httpx2.Request) -> dict[str, Any] | None:
    if request.method != "POST" or not request.headers.get(
        "content-type", ""
    ).startswith("application/json"):
        return None

    try:
        body = json.loads(request.content)
    except (ValueError, httpx2.RequestNotRead):
        return None

    if isinstance(body, dict) and "jsonrpc" in body:
        return body

    return None


def _refusal(
    request: httpx2.Request, message: dict[str, Any], status: int, sentence: str
) -> httpx2.Response:
    if "id" not in message:
        return httpx2.Response(202, request=request)

    # The SDK's negotiation reads a plain 404 as "this method is not known here".
    if status == 404:
        code = -32601
    else:
        code = REFUSED

    error = {
        "jsonrpc": "2.0",
        "id": message["id"],
        "error": {"code": code, "message": sentence},
    }
    return httpx2.Response(status, json=error, request=request)


async def _mend_small(response: httpx2.Response) -> httpx2.Response:
    """A small JSON reply whose error is not of the protocol's form, in that form: the
    SDK would let the call wait for nothing.
    """
    headers = response.headers
    length = headers.get("content-length", "")
    is_small = length.isdigit() and int(length) <= ANSWER_BYTES
    is_json = headers.get("content-type", "").startswith("application/json")
    if not (is_small and is_json):
        return response

    body = await response.aread()
    mended = mend_error(body)
    if mended is None:
        return response

    return httpx2.Response(response.status_code, json=mended, request=response.request)


async def _read_some(response: httpx2.Response) -> bytes:
    body = b""
    try:
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > ANSWER_BYTES:
                break
    except (httpx2.TransportError, httpx2.StreamError):
        pass
    finally:
        await response.aclose()

    return body


def _is_error_reply(body: bytes) -> bool:
    try:
        reply = json.loads(body)
    except ValueError:
        return False

    return (
        isinstance(reply, dict)
        and reply.get("jsonrpc") == "2.0"
        and isinstance(reply.get("error"), dict)
    )


ENCODINGS = "gzip, deflate"  # what is asked for, and what can be unpacked within bounds
PIECE = 256 * 1024  # bytes that are unpacked at once
# zlib's window bits: with its own header or gzip's, told apart by themselves.
ANY_HEADER = 32 + zlib.MAX_WBITS


def bound_body(response: httpx2.Response, cap: int) -> None:
    """Give a reply a body that ends in a StreamError when it breaks, cannot be unpacked
    or passes the cap.

    An event stream may be as long as it likes: its events have their own bound.
    """
    encoding = response.headers.get("content-encoding", "").strip().lower()
    endless = response.headers.get("content-type", "").startswith("text/event-stream")
    response.stream = _Body(response.stream, None if endless else cap, encoding)
    if encoding:
        del response.headers["content-encoding"]
        response.headers.pop("content-length", None)


class _Body(httpx2.AsyncByteStream):
    def __init__(self, inner: Any, cap: int | None, encoding: str) -> None:
        self._inner, self._cap, self._encoding = inner, cap, encoding

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size, held, unpack = 0, b"", _unpacker(self._encoding)
        try:
            async for chunk in self._inner:
                for piece in unpack(chunk):
                    size += len(piece)
                    if self._cap is not None and size > self._cap:
                        raise httpx2.StreamError(
                            f"the reply is larger than {self._cap / 1e6:.0f} MB"
                        )

                    held += piece
                    whole, held = _split_at_escape(held)
                    if whole:
                        yield mend_halves(whole)

            if held:
                yield mend_halves(held)
        except httpx2.TransportError as error:
            raise httpx2.StreamError(
                "the connection broke in the middle of the reply"
            ) from error
        except zlib.error:
            raise httpx2.StreamError(
                f"the reply is not packed with {self._encoding}, as it says"
            ) from None

    async def aclose(self) -> None:
        await self._inner.aclose()


def _split_at_escape(piece: bytes) -> tuple[bytes, bytes]:
    """What can be looked at, and an escape at the end that may go on in the next piece:
    a pair of `\\uXXXX` has twelve bytes.
    """
    start = piece.rfind(b"\\", -12)
    if start < 0:
        return piece, b""

    # A first half, and a run of backslashes, belong together.
    while start > 0 and (
        piece[start - 1] == 0x5C or piece[start - 6 : start - 4] == b"\\u"
    ):
        start -= 1 if piece[start - 1] == 0x5C else 6

    return piece[:start], piece[start:]


def _unpacker(encoding: str) -> Any:
    if encoding in ("", "identity"):
        return lambda chunk: (chunk,)

    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise httpx2.StreamError(
            f"the reply is packed with {encoding[:40]}, which was not asked for"
        )

    packed = zlib.decompressobj(ANY_HEADER)

    def unpack(chunk: bytes) -> Iterator[bytes]:
        while chunk:
            piece = packed.decompress(chunk, PIECE)
            if piece:
                yield piece

            chunk = packed.unconsumed_tail

    return unpack
