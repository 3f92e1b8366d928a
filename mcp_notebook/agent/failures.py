"""Failures of the model's service, in one sentence each that says what to do next."""

from __future__ import annotations

import re
from typing import Any

import anthropic
import httpx2

from mcp_notebook.agent.backends import Backend
from mcp_notebook.errors import BackendError, ContextFull, NotebookError, RequestRefused
from mcp_notebook.secrets import mask
from mcp_notebook.sessions.http import retry_after

# The API's names, then those of the frames that end a stream of Bedrock.
TRANSIENT_TYPES = (
    "overloaded_error",
    "api_error",
    "rate_limit_error",
    "timeout_error",
    "throttlingException",
    "internalServerException",
    "modelStreamErrorException",
    "modelTimeoutException",
    "serviceUnavailableException",
)
# packages whose exceptions come from getting credentials
CLOUDS = ("google", "botocore", "boto3", "azure")
TRANSIENT_STATUS = (408, 409, 429)
# The words of the API, llama.cpp, vLLM and Ollama.
_OVERLONG = re.compile(
    r"too long|context (?:window|length|size)|maximum context|exceeds? .*context",
    re.IGNORECASE,
)
LONGEST_WAIT = 60.0  # seconds; a service that asks for more is not waited for


def is_transient(error: Any) -> bool:
    """Whether the same request may succeed in a moment."""

    if _find_own_error(error) is not None:
        return False

    if isinstance(error, anthropic.APIStatusError):
        if error.status_code == 200:  # an error event inside a stream that began well
            return error.type in TRANSIENT_TYPES

        return error.status_code in TRANSIENT_STATUS or error.status_code >= 500

    return isinstance(error, anthropic.APIConnectionError | httpx2.TransportError)


def requested_wait(error: Any) -> float | None:
    """Seconds that the service asks to wait, or None."""
    response = getattr(error, "response", None)
    return None if response is None else retry_after(response.headers)


def retry_reason(error: Any, partial: str) -> str:
    """Why a turn is tried again."""

    if partial:
        return "the reply was cut off"

    if isinstance(error, anthropic.APIStatusError):
        if error.status_code == 200:
            code = ""
        else:
            code = f" ({error.status_code})"

        return f"the model's service is busy{code}"

    return "the connection failed"


def explain_failure(error: Any, backend: Backend) -> NotebookError:
    """The exception that the person sees; ours (a replay miss) pass through."""

    ours = _find_own_error(error)
    if ours is not None:
        return ours

    if isinstance(error, TypeError):
        if "authentication" not in str(error):
            # a bug of ours keeps its traceback; only the SDK's missing key is a
            # TypeError to explain
            raise error

        return BackendError(
            f"No credentials for {backend.label}: set ANTHROPIC_API_KEY and run the "
            "cell again."
        )

    if isinstance(error, anthropic.APIStatusError):
        said = mask(_service_words(error))
        overlong = error.status_code == 400 and _OVERLONG.search(said)
        if overlong or error.status_code == 413:
            return ContextFull(
                f"The conversation no longer fits the model ({said}); go on with "
                "%%claude --new."
            )

        sentence = _status_sentence(error, backend, said)
        if error.status_code == 400:
            return RequestRefused(sentence, said)

        return BackendError(sentence)

    if isinstance(error, anthropic.APITimeoutError):
        return BackendError(
            f"{backend.label} did not answer in time; run the cell again or raise the "
            "timeout."
        )

    if isinstance(error, anthropic.APIConnectionError | httpx2.TransportError):
        return BackendError(
            f"Cannot reach {backend.address}: check that it runs and that the network "
            "allows it."
        )

    return BackendError(f"The model's service failed: {mask(str(error))}")


def raise_for_credentials(error: Exception, backend: Backend) -> None:
    """Raise BackendError for what a cloud's own package says of credentials; anything
    else passes.
    """
    of_a_cloud = type(error).__module__.split(".")[0] in CLOUDS
    # The SDK's own client for Bedrock raises a bare RuntimeError.
    of_the_sdk = isinstance(error, RuntimeError) and "credential" in str(error).lower()
    if of_a_cloud or of_the_sdk:
        words = mask(" ".join(str(error).split()))[:300].rstrip(".")
        raise BackendError(
            f"No credentials for {backend.label}: {words}. Set them and run the cell "
            "again."
        ) from error


def _status_sentence(error: Any, backend: Backend, said: str) -> str:
    code = error.status_code
    if code in (401, 403):
        return (
            f"{backend.address} refused the credentials ({code}); "
            "check ANTHROPIC_API_KEY."
        )

    if code == 404:
        return (
            f"{backend.address} does not know the model {backend.model!r}; "
            "choose one with --model."
        )

    if code in (429, 529) or error.type in TRANSIENT_TYPES:
        wait = requested_wait(error) or 0.0
        if wait > LONGEST_WAIT:
            asked = f"{wait:.0f} s, as it asks,"
        else:
            asked = "a minute"

        return f"The model's service is busy ({said}); wait {asked} and run the cell again."

    if code >= 500:
        return (
            f"The model's service failed ({code}): {said.rstrip('.')}. "
            "Run the cell again."
        )

    return f"The model's service refused the request ({code}): {said}"


def _service_words(error: Any) -> str:
    if isinstance(error.body, dict):
        body = error.body
    else:
        body = {}

    inner: Any = body.get("error") if isinstance(body.get("error"), dict) else {}
    return str(inner.get("message") or error.message)[:300]


def _find_own_error(error: BaseException | None) -> NotebookError | None:
    # The SDK wraps what a transport raises in APIConnectionError and keeps it as the cause.
    while error is not None:
        if isinstance(error, NotebookError):
            return error

        error = error.__cause__

    return None
