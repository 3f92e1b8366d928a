"""What servers may ask of this notebook: forms and links, turns of the person's model,
folders, a sign-in.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from mcp_notebook.display.form_fields import fields_of
from mcp_notebook.display.questions import (
    form_question,
    sampling_question,
    sign_in_question,
    visit_question,
)
from mcp_notebook.errors import BackendError, BudgetError, ConnectError
from mcp_notebook.events import Reply
from mcp_notebook.policy import Budget, Limits
from mcp_notebook.sessions import SessionHooks
from mcp_notebook.untrusted_text import plain_link


class RequestsState(Protocol):
    """What of the notebook's state a server's request needs; `Notebook` is one."""

    settings: Any
    asker: Any
    ledger: Any

    @property
    def spent(self) -> Any: ...

    async def load_compose(self) -> Any: ...


# Where one of these is set the browser is on another machine, whose loopback is not ours.
_FAR = tuple(
    """
    JUPYTERHUB_API_TOKEN JUPYTERHUB_USER BINDER_SERVICE_HOST COLAB_RELEASE_TAG
    CODESPACES KUBERNETES_SERVICE_HOST SSH_CONNECTION
""".split()
)
SAMPLED = "sampling"  # the cell's name in the ledger for turns that servers asked for


class ServerRequests:
    """Answers for one notebook; the hooks run on the background loop."""

    def __init__(self, notebook: RequestsState) -> None:
        self._notebook = notebook
        self._always: set[str] = set()  # servers that may use the model without asking
        self._turns = 0

    def hooks(self) -> SessionHooks:
        """The hooks for a server that is connected now; what the settings do not allow
        is not declared to it.
        """
        return SessionHooks(
            elicit=self.elicit,
            sample=self.sample if self._notebook.settings.sampling else None,
            roots=self.roots if self._notebook.settings.roots else None,
            authorize=self.authorize,
        )

    async def elicit(
        self, server: str, params: Any
    ) -> tuple[str, dict[str, Any] | None]:
        """The person's answer to a form or a link: `accept` with values, `decline` or `cancel`."""

        seconds = self._notebook.settings.question_seconds
        if params.mode == "url":
            link = plain_link(params.url)
            # Not shown at all: what a person may not open must not stand there to be
            # copied.
            if not link:
                return "decline", None

            visit = visit_question(server, params.message, link, seconds)
            reply = await self._notebook.asker.ask(visit)
            return _action(reply), None

        try:
            fields = fields_of(params.requested_schema)
        except ValueError:
            return "cancel", None  # a form that cannot be shown is not a refusal

        form = form_question(server, params.message, fields, seconds)
        reply = await self._notebook.asker.ask(form)
        action = _action(reply)
        return action, dict(reply.values) if action == "accept" else None

    async def sample(self, server: str, params: Any) -> dict[str, Any]:
        """A turn of the person's model for a server, after consent; raises BudgetError
        or BackendError.
        """
        compose = await self._notebook.load_compose()
        from mcp_notebook.agent import sampling  # behind the same door

        settings = self._notebook.settings
        request = params.model_dump(mode="json", by_alias=True, exclude_none=True)
        budget = Budget(Limits(), settings.notebook_limits(), self._notebook.spent)
        # Before the person is asked: a yes that cannot be kept is worse than a no.
        if self._turns >= settings.sampling_turns or budget.limit_reached_before():
            raise BudgetError(
                f"The budget for turns that servers ask for is used up; {server} gets none."
            )

        if not await self._is_allowed(server, sampling.request_text(request)):
            raise BackendError(f"The request of {server} was declined.")

        # Counted before it is sent: a turn that fails may have been paid for.
        self._turns += 1
        backend = compose.backend_of(self._notebook)
        async with backend.lifetime():
            result, usage = await sampling.answer_sampling(
                backend, request, max_tokens=settings.sampling_max_tokens
            )

        # It is the person's money: the notebook's budget counts these turns, too.
        self._notebook.spent.add_turn(usage)
        self._notebook.ledger.record(usage, cell=f"{SAMPLED} for {server}")
        return result

    async def _is_allowed(self, server: str, whole: str) -> bool:
        if server in self._always:
            return True

        seconds = self._notebook.settings.question_seconds
        question = sampling_question(server, whole, seconds)
        reply = await self._notebook.asker.ask(question)
        if reply.choice == "always":
            self._always.add(server)

        return _action(reply) == "accept"

    async def roots(self, server: str) -> Sequence[Path]:
        """The folders of the settings."""
        return [_absolute(folder) for folder in self._notebook.settings.roots]

    async def authorize(self, server: str, url: str) -> str | None:
        """Show the sign-in link; the pasted address where the browser cannot reach this
        machine, else None.
        """
        paste = is_far(self._notebook.settings.sign_in, os.environ)
        seconds = self._notebook.settings.question_seconds
        question = sign_in_question(server, url, paste=paste, seconds=seconds)
        reply = await self._notebook.asker.ask(question)
        if reply.choice == "deny":
            raise ConnectError("nobody is there to sign in, or it was declined")

        return reply.values.get("address") or None


def _action(reply: Reply) -> str:
    """A reply in the words of the protocol."""
    return {"deny": "decline", "cancel": "cancel"}.get(reply.choice, "accept")


def _absolute(folder: str) -> Path:
    return Path(folder).expanduser().absolute()


def is_far(setting: str, environ: Mapping[str, str]) -> bool:
    """Whether the person's browser is on another machine, so that an address has to be pasted."""
    return setting == "paste" or (
        setting == "auto" and any(environ.get(name) for name in _FAR)
    )
