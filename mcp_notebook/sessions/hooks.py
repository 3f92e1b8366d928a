"""What a server may ask of us: answers from the person, a model's turn, the folders in use."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp_notebook.errors import NotebookError

if TYPE_CHECKING:
    from mcp.types import (
        CreateMessageRequestParams,
        CreateMessageResult,
        ElicitRequestParams,
        ElicitResult,
    )

    Elicit = Callable[[str, ElicitRequestParams], Awaitable["ElicitResult | Answered"]]
    Sample = Callable[
        [str, CreateMessageRequestParams],
        Awaitable[CreateMessageResult | dict[str, Any]],
    ]

logger = logging.getLogger(__name__)

# accept, decline or cancel, and a form's values
Answered = tuple[str, dict[str, Any] | None]


@dataclass(frozen=True)
class SessionHooks:
    """Async callables that run on the background loop; each first gets the name of the
    server that asks.

    elicit: the person's answer to a form or a link; without it every question is
    declined. sample: a turn of the person's model (the result or its JSON); without it
    sampling is not declared. roots: the folders that the server may know; without it
    roots are not declared. authorize: shows the link of a sign-in; may return the
    address that the person was sent to and pasted.
    """

    elicit: Elicit | None = None
    sample: Sample | None = None
    roots: Callable[[str], Awaitable[Sequence[Path | str]]] | None = None
    authorize: Callable[[str, str], Awaitable[str | None]] | None = None


def client_callbacks(
    server: str,
    hooks: SessionHooks,
    hold_clock: Callable[[], AbstractContextManager[None]],
) -> dict[str, Any]:
    """Keyword arguments for the SDK's Client; call timeouts stand still while a hook runs."""
    # Here, because this module is imported before the SDK is.
    from mcp import types

    async def elicit(context: Any, params: Any) -> Any:
        if hooks.elicit is None:
            return types.ElicitResult(action="decline")

        try:
            with hold_clock():
                answer = await hooks.elicit(server, params)

            if isinstance(answer, tuple):
                return types.ElicitResult.model_validate(_reply_by_name(answer))

            return answer
        except Exception:
            # boundary: a failing form must not end the session; the server is told no
            logger.exception("the elicitation hook failed")
            return types.ElicitResult(action="cancel")

    async def sample(context: Any, params: Any) -> Any:
        assert hooks.sample is not None
        try:
            with hold_clock():
                reply = await hooks.sample(server, params)

            if isinstance(reply, dict):
                return types.CreateMessageResult.model_validate(reply)

            return reply
        except NotebookError as error:
            # a budget is used up, the person said no, or no model answers
            logger.info("a turn for %s was not given: %s", server, error.message)
            return types.ErrorData(
                code=-1,
                message="The request was declined, or there is no budget or model for it",
            )
        except Exception:  # boundary: as above
            logger.exception("the sampling hook failed")
            return types.ErrorData(code=-1, message="The request was not allowed")

    async def roots(context: Any) -> Any:
        assert hooks.roots is not None
        folders = await hooks.roots(server)
        return types.ListRootsResult(
            roots=[
                types.Root(uri=_uri(folder), name=Path(folder).name)
                for folder in folders
            ]
        )

    callbacks: dict[str, Any] = {"elicitation_callback": elicit}
    if hooks.sample is not None:
        callbacks["sampling_callback"] = sample

    if hooks.roots is not None:
        callbacks["list_roots_callback"] = roots

    return callbacks


def _reply_by_name(answer: Answered) -> dict[str, Any]:
    return {"action": answer[0], "content": answer[1]}


def _uri(folder: Path | str) -> Any:
    return Path(folder).absolute().as_uri()
