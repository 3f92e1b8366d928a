"""Who answers: an explicit client, the SDK's credentials, a local server, or the
recorded turns, in that order; and what is known of a model: its prices and lengths.

A backend is a client that speaks the Messages API over an httpx transport; a new one is a
transport more (`replay.transports` has two), and nothing else in the loop changes.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import datetime
import functools
import os
import re
from collections.abc import AsyncIterator, Callable, Hashable, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    nullcontext,
)
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from mcp_notebook import loop
from mcp_notebook.errors import BackendError, NotebookError
from mcp_notebook.events import Usage

if TYPE_CHECKING:
    import httpx2

DEFAULT_MODEL = "claude-sonnet-5-5"
CONNECT_SECONDS, SILENCE_SECONDS = 5.0, 90.0
# A local model on a small machine reads a long prompt for minutes before its first token.
LOCAL_SILENCE_SECONDS = 900.0
# How long a connection waits for the next cell; local servers (uvicorn, llama.cpp)
# close idle ones after five seconds.
KEEP_SECONDS, LOCAL_KEEP_SECONDS = 120.0, 3.0
CONNECTIONS = 100
# What a client reads when it is made, beside ANTHROPIC_*.
_READ = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)

Lifetime = Callable[[], AbstractAsyncContextManager[Any]]

NO_BACKEND = (
    "No model to ask. Set ANTHROPIC_API_KEY; or set ANTHROPIC_BASE_URL to a local server "
    "(llama.cpp, Ollama, LM Studio, vLLM); or open a notebook that has recorded turns "
    "beside it (NAME.claude.json). "
    "%mcp_call and %%mcp_sql need no model."
)
AT_EXIT_SECONDS = 1.0  # to say goodbye when the kernel ends


@dataclass(eq=False)
class HeldClient:
    """A client, what it was made from, and how many runs use it."""

    client: Any
    made_from: Hashable
    users: int = 0


class Clients:
    """Gives out one client for as long as it is made from the same; closes it when
    settings change and at the end. Lives on the background loop.

    Making one costs 30 ms of CPU (the certificates) and its connection a handshake; the
    next cell finds both ready.
    """

    def __init__(self) -> None:
        # the last one is given out, the others are closed when their runs are over
        self._held: list[HeldClient] = []

    def get(self, made_from: Hashable, make: Callable[[], Any]) -> HeldClient | None:
        """The client that was made from the same, else a new one; None where none can be made."""
        if self._held and self._held[-1].made_from == made_from:
            return self._held[-1]
        if (client := make()) is None:
            return None

        if not self._held:
            atexit.register(self._at_exit)

        self._held.append(HeldClient(client, made_from))
        return self._held[-1]

    @asynccontextmanager
    async def use(self, held: HeldClient) -> AsyncIterator[None]:
        """Around a run. After one that failed the next starts with a client of its own:
        it may read a new login.
        """
        held.users += 1
        try:
            yield
        except NotebookError:
            held.made_from = object()
            raise
        finally:
            held.users -= 1
            await self._close_old()

    async def close(self) -> None:
        """Close all of them; a run that is still under way fails."""
        atexit.unregister(self._at_exit)
        held, self._held = self._held, []
        for one in held:
            await one.client.close()

    async def _close_old(self) -> None:
        for old in [held for held in self._held[:-1] if not held.users]:
            self._held.remove(old)
            await old.client.close()

    def _at_exit(self) -> None:
        concurrent.futures.wait([loop.submit(self.close())], timeout=AT_EXIT_SECONDS)


@dataclass(frozen=True)
class Backend:
    """A client that speaks the Messages API, and what the footer says of it."""

    # an AsyncAnthropic or one of its siblings (Bedrock, Vertex, Foundry ...)
    client: Any
    kind: Literal["live", "local", "replay", "custom"]
    model: str
    label: str
    address: str
    transport: Any = None  # the replay transport, for its drift
    # Entered around a run. What was made for the run is closed at its end; the person's
    # own client never is.
    lifetime: Lifetime = nullcontext

    @property
    def name(self) -> str:
        """What is asked, for the person: the model, or the recorded turns."""
        if self.kind == "replay":
            return self.address
        return self.model

    @property
    def source(self) -> str:
        """What to say of an answer that is there: of recorded turns, those that
        answered.
        """
        if self.kind == "replay":
            return str(self.transport.recording_label)
        return self.label

    @property
    def free(self) -> bool:
        """Whether nothing is paid for a turn: a local model, or a recorded reply."""
        return self.kind in ("local", "replay")

    @property
    def searches(self) -> bool:
        """Whether tools can be searched for on the server: by Anthropic's own API."""
        return self.caches and self.address.endswith("anthropic.com")

    @property
    def caches(self) -> bool:
        """Whether prompt caching is understood: by Claude itself, not by local servers."""
        return self.kind in ("live", "custom") and "claude" in self.model

    @property
    def marks_itself(self) -> bool:
        """Whether one mark for the whole request is understood: other clouds know marks
        on blocks only.
        """
        return type(self.client).__name__ not in (
            "AsyncAnthropicBedrock",
            "AsyncAnthropicVertex",
        )


def choose_backend(
    *,
    client: Any = None,
    model: str = "",
    prefer: Literal["auto", "live", "replay"] = "auto",
    replay: httpx2.AsyncBaseTransport | None = None,
    record: Any = None,
    environ: Mapping[str, str] = os.environ,
    clients: Clients | None = None,
) -> Backend:
    """The backend of one cell. `replay` and `record` are transports for the client;
    raises BackendError.

    `clients` keeps a client that is made here for the next cell; without it each run has its own.
    """
    if prefer == "replay":
        if replay is None:
            raise BackendError(
                "There are no recorded turns beside this notebook (NAME.claude.json) to replay."
            )

        return _replay_backend(replay)

    if client is not None:
        return _custom_backend(client, model or DEFAULT_MODEL)

    live = _live_backend(model, record, environ, clients)
    if live is not None:
        return live
    if replay is not None and prefer == "auto":
        return _replay_backend(replay)

    raise BackendError(NO_BACKEND)


def backend_of_nobody(model: str) -> Backend:
    """Stands in a dry run for the model that is not there yet."""
    model = model or DEFAULT_MODEL
    return Backend(None, "live", model, model, "nobody yet (no model is set up)")


def _custom_backend(client: Any, model: str) -> Backend:
    """The person's own client: Bedrock, Vertex, Foundry, a gateway. It must be an async one."""
    messages = getattr(client, "messages", None)
    speaks = hasattr(messages, "stream")
    # Siblings name their own class (AsyncAnthropicBedrock) or that of `messages` so.
    is_async = "Async" in type(client).__name__ + type(messages).__name__
    if not (speaks and is_async):
        raise BackendError(
            f"MCPNotebook.client is a {type(client).__name__}; an async one is needed, "
            "like AsyncAnthropicBedrock()."
        )

    return Backend(
        client, "custom", model, f"{model} · {type(client).__name__}", _address(client)
    )


def _live_backend(
    model: str, record: Any, environ: Mapping[str, str], clients: Clients | None
) -> Backend | None:
    local = is_local(environ.get("ANTHROPIC_BASE_URL", ""))
    make = functools.partial(
        _make_client, local, record, bool(environ.get("ANTHROPIC_BASE_URL"))
    )
    # What records belongs to one run.
    if clients is None or record is not None:
        client, lifetime = _client_for_one_run(make)
    else:
        client, lifetime = _kept_client(clients, environ, make)

    if client is None:
        return None

    model = model or environ.get("ANTHROPIC_MODEL", "") or DEFAULT_MODEL
    if local:
        kind = "local"
    else:
        kind = "live"

    return Backend(
        client, kind, model, f"{model} · {kind}", _address(client), lifetime=lifetime
    )


def _client_for_one_run(make: Callable[[], Any]) -> tuple[Any, Lifetime]:
    client = make()
    return client, lambda: client  # which closes itself


def _kept_client(
    clients: Clients, environ: Mapping[str, str], make: Callable[[], Any]
) -> tuple[Any, Lifetime]:
    settings = frozenset(
        (k, v)
        for k, v in environ.items()
        if k.startswith("ANTHROPIC_") or k.upper() in _READ
    )
    held = clients.get(settings, make)
    if held is None:
        return None, nullcontext

    return held.client, functools.partial(clients.use, held)


def _make_client(local: bool, record: Any, elsewhere: bool) -> Any:
    """A client from the environment and the SDK's credentials, or None where there are none."""
    anthropic = _load_sdk()
    import httpx2  # loaded with the SDK

    if local:
        silence = LOCAL_SILENCE_SECONDS
    else:
        silence = SILENCE_SECONDS

    if record is not None:
        http = anthropic.DefaultAsyncHttpxClient(transport=record)
    else:
        if local:
            keep = LOCAL_KEEP_SECONDS
        else:
            keep = KEEP_SECONDS

        limits = httpx2.Limits(
            max_connections=CONNECTIONS,
            max_keepalive_connections=CONNECTIONS,
            keepalive_expiry=keep,
        )
        http = anthropic.DefaultAsyncHttpxClient(limits=limits)

    # Retries are the loop's: it says so in the cell, where the SDK waits in silence.
    timeout = anthropic.Timeout(silence, connect=CONNECT_SECONDS)
    client = anthropic.AsyncAnthropic(timeout=timeout, max_retries=0, http_client=http)
    if client.api_key or client.auth_token or client.credentials:
        return client
    # Ollama, llama.cpp and vLLM ask for no key, the SDK insists on one.
    if elsewhere:
        return client.copy(api_key="not-needed")

    return None


def _replay_backend(transport: Any) -> Backend:
    anthropic = _load_sdk()
    client = anthropic.AsyncAnthropic(
        api_key="replay",
        base_url="http://replay.invalid",
        http_client=anthropic.DefaultAsyncHttpxClient(transport=transport),
        max_retries=0,
    )
    label = str(transport.recording_label)
    return Backend(
        client,
        "replay",
        "replay",
        label,
        "the recorded turns",
        transport,
        lifetime=lambda: client,
    )


def _load_sdk() -> Any:
    import anthropic  # slow, only when a model is asked

    return anthropic


def is_local(url: str) -> bool:
    """Whether a base URL points at this machine."""
    return (urlsplit(url).hostname or "") in ("localhost", "127.0.0.1", "::1")


def _address(client: Any) -> str:
    return (
        urlsplit(str(getattr(client, "base_url", ""))).netloc or "the configured client"
    )


# What a turn took, in tokens and dollars. Prices are the genai-prices package's own
# table, never the network.


# Models whose replies are shorter than the default, from the table of models:
# https://platform.claude.com/docs/en/about-claude/models/overview
SHORT_REPLIES = {
    "claude-3-haiku": 4096,
    "claude-3-opus": 4096,
    "claude-3-sonnet": 4096,
    "claude-3-5": 8192,
}
LOCAL_REPLY = 4096
_CLAUDE = re.compile(r"(claude-[a-z0-9-]+?)(?:-v\d+)?(?::\d+)?(?:@.*)?$")


def usage_of(
    message: Any, request_id: str, seconds: float, *, free: bool = False
) -> Usage:
    """The usage of a final message. `dollars` is None where no price is known, 0 where
    nothing is paid (`free`).
    """
    usage = message.usage
    return Usage(
        model=message.model,
        input=usage.input_tokens or 0,
        output=usage.output_tokens or 0,
        cache_read=usage.cache_read_input_tokens or 0,
        cache_write=usage.cache_creation_input_tokens or 0,
        dollars=0.0 if free else dollars_of(message),
        request_id=request_id,
        seconds=seconds,
        web_searches=_count_looked_up(usage, "web_search_requests"),
        web_pages=_count_looked_up(usage, "web_fetch_requests"),
    )


def _count_looked_up(usage: Any, name: str) -> int:
    # not every service that speaks the API has these counters
    looked_up = getattr(usage, "server_tool_use", None)
    return getattr(looked_up, name, 0) or 0


def plain_name(model: str) -> str:
    """A model's name at Anthropic, from that at Bedrock (`us.anthropic.claude-x-v1:0`)
    or Vertex (`claude-x@date`).
    """
    found = _CLAUDE.search(model)
    if found:
        return found[1]

    return model


def dollars_of(message: Any) -> float | None:
    """Dollars for one message, or None: a local model has no price, an unknown one none
    that we know.
    """
    model = plain_name(message.model)
    if not model.startswith("claude") or not has_price(model):
        return None

    genai_prices = _load_prices()
    try:
        paid = {"model": model, "usage": message.usage.model_dump()}
        extracted = genai_prices.extract_usage(paid, provider_id="anthropic")
        return float(extracted.calc_price().total_price)
    except (LookupError, ValueError):
        return None


@functools.lru_cache(maxsize=64)
def has_price(model: str) -> bool:
    """Whether a dollar budget can be kept for this model; looked up once, a name that
    nobody knows is searched long.
    """
    return estimate_dollars(model, 1, 1) is not None


def estimate_dollars(model: str, tokens_in: int, tokens_out: int) -> float | None:
    """Dollars for so many tokens without any cache, or None when no price is known."""
    priced = _find_price(model, tokens_in, tokens_out)
    if priced is None:
        return None
    return float(priced.total_price)


def window_of(model: str) -> int | None:
    """How many tokens fit the model, or None when that is not known."""
    priced = _find_price(model, 1, 1)
    if priced is None:
        return None
    return priced.model.context_window


def fitting_reply(
    model: str, tokens: int, *, local: bool = False, said: int | None = None
) -> int:
    """So many tokens of a reply, or the most that the model can write; `said`: what its
    service says of that.

    A local server reserves them in its window, which is small.
    """
    if said:
        return min(tokens, said)

    name = plain_name(model)
    most = [least for start, least in SHORT_REPLIES.items() if name.startswith(start)]
    if local:
        most.append(LOCAL_REPLY)

    return min([tokens, *most])


SOON = 90  # days before a model's end at which it is said
ASK_SECONDS = 3.0  # a question does not wait longer for what only helps


@dataclass(frozen=True)
class ModelFacts:
    """What the service says of a model; None and "" where it says nothing."""

    reply: int | None = None  # tokens that it can write
    window: int | None = None  # tokens that it can read
    warning: str = ""


async def ask_facts(backend: Backend) -> ModelFacts:
    """What the models endpoint says of the backend's model; nothing where it does not
    answer, for a question goes on without it.
    """
    try:
        asking = backend.client.models.retrieve(backend.model)
        said = await asyncio.wait_for(asking, ASK_SECONDS)
    except Exception:
        # boundary: an older service, a proxy without the endpoint, no network; what is
        # wrong with the key says the question itself
        return ModelFacts()

    return ModelFacts(
        getattr(said, "max_tokens", None),
        getattr(said, "max_input_tokens", None),
        _lifecycle_warning(backend.model, said),
    )


def _lifecycle_warning(model: str, said: Any) -> str:
    lifecycle = getattr(said, "lifecycle", "active") or "active"
    end = getattr(said, "retires_at", None)
    left = (end - datetime.datetime.now(end.tzinfo)).days if end is not None else None
    if lifecycle == "active" and (left is None or left > SOON):
        return ""

    when = f" and retires on {end:%Y-%m-%d}" if end is not None else ""
    state = "is near its end" if lifecycle == "active" else f"is {lifecycle}"
    return f"The model {model} {state}{when}: choose another one (MCPNotebook.model)."


def _find_price(model: str, tokens_in: int, tokens_out: int) -> Any:
    genai_prices = _load_prices()
    usage = genai_prices.Usage(input_tokens=tokens_in, output_tokens=tokens_out)
    try:
        return genai_prices.calc_price(
            usage, plain_name(model), provider_id="anthropic"
        )
    except LookupError:
        return None


def _load_prices() -> Any:
    # A 3 s import under load, wanted only when something was paid for.
    import genai_prices

    return genai_prices
