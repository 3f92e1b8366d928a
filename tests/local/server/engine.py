"""llama.cpp's server inside this process, and a client for it.

It listens on loopback with a random key and grants no other origin: by default
llama.cpp asks for no key and allows every origin. xllamacpp has no way to stop its
server, so the process that starts it must be one that can end.
"""

import hashlib
import importlib.metadata
import json
import os
import secrets
import socket
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from mcp_notebook.errors import BackendError, ConfigError

CONTEXT = 8192  # tokens; the key-value cache of a 1.5B model then takes some 230 MB
SILENCE = 900.0  # seconds: a small machine reads a long prompt for minutes
SEED = 1

Json = dict[str, Any]


@dataclass(frozen=True)
class Piece:
    """A part of what the model writes; the last one has `done` and the counts of tokens."""

    text: str = ""
    done: str = ""  # "stop" or "length"
    prompt_tokens: int = 0
    cached_tokens: int = 0
    written_tokens: int = 0


class Engine:
    """A running llama.cpp server for one model."""

    def __init__(
        self, model: Path, *, threads: int = 0, context: int = CONTEXT
    ) -> None:
        xlc = _xllamacpp()
        key = secrets.token_urlsafe(24)
        params = xlc.CommonParams()
        params.model.path = str(model)
        params.n_ctx = context
        params.n_parallel = 1
        params.warmup = False
        params.ui = False
        params.verbosity = 0
        params.hostnames = ["127.0.0.1"]
        params.port = _free_port()
        params.cors_origins = "http://127.0.0.1"
        params.api_keys = [key]
        for cpu in (params.cpuparams, params.cpuparams_batch):
            cpu.n_threads = threads or default_threads()
        try:
            self._server = xlc.Server(params)  # returns when the model is loaded
        except RuntimeError as error:
            raise BackendError(
                f"llama.cpp cannot load {model.name}: {error}"
            ) from error
        self._client = httpx2.AsyncClient(
            base_url=self._server.listening_address,
            headers={"authorization": f"Bearer {key}"},
            timeout=httpx2.Timeout(SILENCE, connect=5.0),
        )

    async def write(
        self, messages: list[Json], *, max_tokens: int, **options: Any
    ) -> AsyncGenerator[Piece, None]:
        """Stream the model's reply to a chat; `options` are llama.cpp's own, as
        `response_format` or `temperature`.

        The same request gives the same reply: greedy decoding with a fixed seed unless
        the options say otherwise.
        """
        body = {
            "messages": messages,
            "max_tokens": max_tokens,
            "temperature": 0,
            "seed": SEED,
            "cache_prompt": True,
            "stream": True,
            "stream_options": {"include_usage": True},
            **options,
        }
        async with self._client.stream(
            "POST", "/v1/chat/completions", json=body
        ) as response:
            if response.status_code != 200:
                raise BackendError(_refusal(await response.aread()))
            async with aclosing(_pieces(response)) as pieces:
                async for piece in pieces:
                    yield piece

    async def count(self, messages: list[Json]) -> int:
        """How many tokens a chat has."""
        prompt = await self._client.post("/apply-template", json={"messages": messages})
        tokens = await self._client.post(
            "/tokenize", json={"content": prompt.json()["prompt"]}
        )
        return len(tokens.json()["tokens"])

    async def close(self) -> None:
        """Close the client; the server ends with its process."""
        await self._client.aclose()


async def _pieces(response: httpx2.Response) -> AsyncGenerator[Piece, None]:
    """The parts of a streamed chat completion; raises BackendError for an error inside
    the stream.
    """
    done = ""
    async for line in response.aiter_lines():
        if line.startswith("error:"):
            raise BackendError(_refusal(line[6:].encode()))
        if not line.startswith("data:") or line.endswith("[DONE]"):
            continue
        event = json.loads(line[5:])
        if "error" in event:
            raise BackendError(_refusal(line[5:].encode()))
        for choice in event.get("choices") or ():
            done = choice.get("finish_reason") or done
            if text := (choice.get("delta") or {}).get("content"):
                yield Piece(text)
        if usage := event.get("usage"):
            cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
            yield Piece(
                "",
                done or "stop",
                usage["prompt_tokens"],
                cached,
                usage["completion_tokens"],
            )
            return
    raise BackendError("llama.cpp ended its reply in the middle; run the cell again.")


def label_of(model: Path) -> str:
    """`qwen2.5-coder-1.5b-instruct-q4_k_m · llama.cpp (xllamacpp 2026.10) · sha256
    cc324af070c2…`: what answers.
    """
    version = importlib.metadata.version("xllamacpp")
    with model.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return f"{model.stem} · llama.cpp (xllamacpp {version}) · sha256 {digest}"


def check_model(path: str | Path) -> Path:
    """The path of a GGUF file; raises ConfigError in one sentence."""
    model = Path(path).expanduser()
    if not model.is_file():
        raise ConfigError(
            f"There is no model file {path}; give the path of a .gguf file."
        )
    with model.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ConfigError(
                f"{path} is not a GGUF file; download the model's .gguf file again."
            )
    return model.resolve()


def default_threads() -> int:
    """One a core that this process may use, at most eight: more make a small model no faster."""
    cores = (
        len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1
    )
    return max(1, min(cores, 8))


def _xllamacpp() -> Any:
    try:
        import xllamacpp  # an optional package of 34 MB
    except ImportError as error:
        raise ConfigError(
            "A local model needs llama.cpp: pip install xllamacpp."
        ) from error
    return xllamacpp


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _refusal(raw: bytes) -> str:
    try:
        error = json.loads(raw)
        message = (error.get("error") or error)["message"]
    except (ValueError, KeyError, TypeError, AttributeError):
        message = raw.decode(errors="replace")[:200]
    return f"llama.cpp refused the request: {message}"
