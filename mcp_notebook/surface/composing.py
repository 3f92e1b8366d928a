"""One question composed: sessions, tools, backend, budget and prompt become the events of a run."""

import asyncio
import importlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mcp_notebook.agent.conversation import Conversation
from mcp_notebook.errors import BackendError, BudgetError
from mcp_notebook.events import Event, Working
from mcp_notebook.naming import OWN_SERVER
from mcp_notebook.policy import Budget, Limits
from mcp_notebook.surface import answering, resources
from mcp_notebook.surface.notebook import Notebook
from mcp_notebook.surface.options import Settled

if TYPE_CHECKING:
    from mcp_notebook.agent.conversation import Block
    from mcp_notebook.agent.request import Request
    from mcp_notebook.agent.toolset import Toolset


async def events_of(
    notebook: Notebook,
    options: Settled,
    conversation: Conversation,
    caller_of: Any,
    attended: bool,
) -> AsyncGenerator[Event, None]:
    """The events of one cell; runs on the background loop. `caller_of(toolset, ...)`
    builds the caller.
    """
    yield Working("starting")
    # The model's SDK takes seconds to import; on a worker thread the heartbeat and
    # other sessions go on meanwhile.
    await asyncio.to_thread(importlib.import_module, "anthropic")
    # So does pandas: it loads while the model thinks, not when the first result is there.
    asyncio.get_running_loop().run_in_executor(
        None, importlib.import_module, "mcp_notebook.results.shown.preview"
    )
    from mcp_notebook.agent.run import run

    composed = await compose(notebook, options)
    if options.dry_run:
        stream = answering.dry_run(
            conversation, composed.request, composed.prompt, composed.toolset
        )
    else:
        for note in answering.length_notes(
            notebook, conversation, composed.request.backend
        ):
            yield note
        caller = caller_of(
            composed.toolset,
            notebook.rules(options.allow, attended=attended),
            composed.budget,
        )
        stream = run(
            conversation, composed.prompt, request=composed.request, caller=caller
        )
    async with composed.request.backend.used(), aclosing(stream) as events:
        async for event in events:
            yield event


@dataclass(frozen=True)
class Composed:
    """What a run is made of."""

    request: "Request"
    prompt: "list[Block]"
    toolset: "Toolset"
    budget: Budget


async def compose(notebook: Notebook, options: Settled) -> Composed:
    """Sessions, backend, budget and prompt of one question; raises our exceptions where
    something is missing.
    """
    from mcp_notebook.agent import prompts
    from mcp_notebook.agent.request import Request
    from mcp_notebook.agent.toolset import Toolset

    backend = _backend(
        notebook, options
    )  # first, for without one nothing needs to start
    await notebook.own_session()
    sessions = _chosen(notebook, options.servers)
    for session in sessions:
        session.safe_tools |= notebook.repeatable(session)
    budget = budget_of(notebook, options, backend)
    form = answering.form_of(notebook, options.form)
    request = Request(
        backend,
        prompts.system_prompt(sessions),
        max_tokens=options.max_tokens,
        effort=options.effort,
        schema=form.schema if form else None,
        problem=form.problem if form else lambda text: "",
        search_above=notebook.settings.tool_search,
    )
    return Composed(
        request, await _prompt(notebook, options, budget), Toolset.of(sessions), budget
    )


async def _prompt(
    notebook: Notebook, options: Settled, budget: Budget
) -> "list[Block]":
    """The person's words, the schemas of tables that they name, and the resources that
    they mention.
    """
    from mcp_notebook.agent import prompts
    from mcp_notebook.server.sources.look import schema_text

    for name in (names := prompts.referenced(options.prompt, notebook.shell.user_ns)):
        # outside only what %mcp_share named
        notebook.catalog.add(name, variable=name, origin="named")
    schemas = {
        name: await asyncio.to_thread(schema_text, notebook.table(name))
        for name in names
    }
    blocks = prompts.user_blocks(options.prompt, names, lambda name: schemas[name])
    for block in await resources.attached(
        notebook, options.prompt, options.rows_to_model
    ):
        blocks.append({**block, "text": budget.fit(block["text"])})
    return blocks


def _chosen(notebook: Notebook, names: tuple[str, ...]) -> list[Any]:
    if not names:
        return [s for s in notebook.sessions if s.state != "closed"]
    return [notebook.sessions.get(name) for name in dict.fromkeys((*names, OWN_SERVER))]


def _backend(notebook: Notebook, options: Settled) -> Any:
    """Who answers a cell; a dry run needs nobody."""
    from mcp_notebook.agent import backends

    try:
        return backend_of(notebook, options.model, replay=options.replay)
    except BackendError:
        if not options.dry_run or options.replay:
            raise
        return backends.nobody(options.model)


def backend_of(notebook: Notebook, model: str = "", *, replay: bool = False) -> Any:
    """Who answers; raises BackendError. `model` empty: the settings say which."""
    from mcp_notebook.agent import backends
    from mcp_notebook.replay import RecordTransport, ReplayTransport

    settings = notebook.settings
    path = notebook.replay_file()
    record = None
    if notebook.recording is not None:
        import httpx2

        record = RecordTransport(
            notebook.recording,
            httpx2.AsyncHTTPTransport(retries=1),
            source=settings.record_source,
        )
    return backends.choose(
        client=notebook.client(),
        model=model or settings.model,
        prefer="replay" if replay else settings.backend,  # type: ignore[arg-type]
        replay=ReplayTransport(path)
        if path is not None and notebook.recording is None
        else None,
        record=record,
        clients=notebook.clients,
    )


def budget_of(notebook: Notebook, options: Settled, backend: Any) -> Budget:
    """The budget of one cell within the notebook's; raises BudgetError when dollars
    cannot be counted.
    """
    settings = notebook.settings
    limits = Limits(
        iterations=options.max_iterations,
        calls=options.max_calls,
        seconds=options.max_seconds,
        tokens=options.max_cell_tokens,
        dollars=options.max_usd or None,
        rows=settings.max_rows_to_model,
        bytes=settings.max_bytes_to_model,
    )
    budget = Budget(limits, settings.notebook_limits(), notebook.spent)
    for dollars in (limits.dollars, budget.notebook.dollars):
        if dollars is not None:
            _check_price(backend, dollars)
    return budget


def _check_price(backend: Any, dollars: float) -> None:
    from mcp_notebook.agent.prices import has_price

    if not backend.free and not has_price(backend.model):
        raise BudgetError(
            f"No price is known for {backend.model!r}, so a budget of ${dollars:g} cannot be kept; "
            "run without a dollar budget or choose another model."
        )
