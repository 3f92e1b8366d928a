"""One question composed: sessions, tools, backend, budget and prompt become the events
of a run.

This is the door behind which the model's SDK is: who needs it loads it with
`Notebook.load_compose`, on a worker thread.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx2

from mcp_notebook.agent import backends, typed
from mcp_notebook.agent.caller import Person
from mcp_notebook.agent.conversation import (
    Block,
    Conversation,
    prepare_conversation,
)
from mcp_notebook.agent.request import (
    Request,
    clock_block,
    describe_request,
    system_prompt,
    user_blocks,
)
from mcp_notebook.agent.run import run
from mcp_notebook.agent.toolset import PersonQuestion, Toolset, choose_tools
from mcp_notebook.agent.web import check_web, web_tools
from mcp_notebook.display.questions import choice_question
from mcp_notebook.errors import BackendError, BudgetError, ConfigError, DataError
from mcp_notebook.events import Event, Note, Reply, Stop, TextDelta
from mcp_notebook.naming import ASK, OWN_SERVER
from mcp_notebook.notebook import call_path, mentions, resources, shared_tables
from mcp_notebook.notebook.options import Settled
from mcp_notebook.notebook.state import Notebook
from mcp_notebook.policy import Budget, Limits, Rules, matches_any
from mcp_notebook.policy.budgets import cut_text
from mcp_notebook.replay.transports import RecordTransport, ReplayTransport
from mcp_notebook.secrets import hide, seal_text

WANT_CODE = (
    "Answer with one code cell for this notebook: after two sentences at most a single "
    "```python block that runs as it stands, with the names that exist here. It is put "
    "below for the person, who reads it and runs it; it has not run."
)
MOST_INSTRUCTIONS = 20_000  # bytes: every turn pays for them
_CUT = "\n[cut: the house rules are longer]"
# How a path ends that is meant as a file of house rules, there or not.
_RULE_FILES = (".md", ".txt", ".rst", ".markdown")


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
    # pandas loads while the model thinks, not when the first result is there.
    asyncio.get_running_loop().run_in_executor(
        None, importlib.import_module, "mcp_notebook.results.model_preview"
    )
    # A program's prompt may hold any words with an @, a cell's are the person's own.
    strict = any(conversation is own for own in notebook.branches.values())
    composed = await compose(notebook, options, strict=strict)
    for note in composed.notes:
        yield note

    rules = notebook.rules(options.allow, attended=attended)
    person = _person_of(notebook, composed.request.backend, rules)
    if options.dry_run:
        stream = dry_run_events(
            conversation, composed, options.system, asks=person is not None
        )
    else:
        for note in length_notes(notebook, conversation, composed.request.backend):
            yield note

        caller = caller_of(composed.toolset, rules, composed.budget, composed.tables)
        caller.person = person
        caller.split = partial(_split_parts, notebook, composed.toolset)
        stream = run(
            conversation, composed.prompt, request=composed.request, caller=caller
        )

    async with composed.request.backend.lifetime(), aclosing(stream) as events:
        async for event in events:
            yield event


def _person_of(
    notebook: Notebook, backend: backends.Backend, rules: Rules
) -> Person | None:
    """Whom the model may ask to choose; None where nobody is there, or the rules deny
    it. A replay takes the recorded answer, so there the tool is in any case.
    """
    replays = backend.kind == "replay"
    is_there = rules.attended or replays
    if not is_there or matches_any(rules.deny, OWN_SERVER, ASK):
        return None

    async def ask(asked: PersonQuestion) -> Reply:
        question = choice_question(asked.question, asked.options, free=asked.free)
        return await notebook.asker.ask(question)

    if replays:
        return Person(ask, backend.transport.recorded_result, rules.attended)

    return Person(ask)


def _split_parts(
    notebook: Notebook, toolset: Toolset, arguments: Mapping[str, Any]
) -> call_path.SqlParts | None:
    """What the SQL of the notebook's `query` needs of other servers first; raises
    DataError and ConfigError.
    """
    sql = arguments.get("sql")
    if not isinstance(sql, str):
        return None

    sessions = {session.name: session for session, _ in toolset.by_name.values()}
    return call_path.split_parts(notebook, sql, sessions, toolset.name_of)


@dataclass(frozen=True)
class Composed:
    """What a run is made of."""

    request: Request
    prompt: list[Block]
    toolset: Toolset
    budget: Budget
    added: str = ""  # what the person adds to the rules, as it is sent
    notes: tuple[Note, ...] = ()  # what the person is told before anything is sent
    tables: tuple[str, ...] = ()  # those that the question names


async def compose(
    notebook: Notebook, options: Settled, *, strict: bool = True
) -> Composed:
    """Sessions, backend, budget and prompt of one question; raises our exceptions where
    something is missing, with `strict` also where a word with an @ names nothing.
    """
    options = _with_pointed(notebook, options)
    named, unknown = mentions.find_named(notebook, options.prompt, strict=strict)
    # before anything starts, for without one nothing needs to
    renamed = notebook.follow_rename()
    backend = _backend(notebook, options)
    is_replay = backend.kind == "replay"
    notebook.tape.begin_question(
        is_watching=is_replay or notebook.recording is not None
    )
    if options.web:
        check_web(backend.kind, backend.label)

    rules, notes = read_instructions(notebook.settings.instructions)
    if renamed:
        notes.append(Note(renamed))

    facts, warning = await _facts_of(notebook, backend)
    notes += [Note(warning, "warning")] if warning else []
    # Claude joins tables there, whichever servers the cell names.
    await notebook.own_session()
    sessions = _choose_sessions(notebook, options.servers)
    # The setting may have changed since the server was connected.
    for session in sessions:
        session.safe_tools |= notebook.repeatable(session)

    budget = budget_of(notebook, options, backend)
    form = form_of(notebook, options.form)
    added = _add_words(notebook, sessions, rules)
    request = Request(
        backend,
        _system_prompt(sessions, added, options.system),
        max_tokens=backends.fitting_reply(
            backend.model,
            options.max_tokens,
            local=backend.kind == "local",
            said=facts.reply,
        ),
        effort=options.effort,
        schema=form.schema if form else None,
        problem=form.problem if form else lambda text: "",
        search_above=notebook.settings.tool_search,
        veil=notebook.veil,
        web=options.web,
    )
    toolset = Toolset.of(sessions)
    # what is masked is not told by another way either
    notebook.learn_masked()
    attached = [
        await asyncio.to_thread(mentions.attach, notebook, thing, toolset)
        for thing in named
    ]
    prompt = await _prompt(notebook, options, budget, named, attached)
    said = ", ".join(one.said for one in attached)
    notes += [Note(f"sent: {said}")] if said else []
    notes += [Note(words) for words in unknown]
    tables = tuple(thing.written for thing in named if thing.kind == "table")
    return Composed(request, prompt, toolset, budget, added, tuple(notes), tables)


def _with_pointed(notebook: Notebook, options: Settled) -> Settled:
    """The question with the views that the person pointed at, once."""
    names, notebook.pointed = notebook.pointed, []
    there = [name for name in names if name in notebook.shell.user_ns]
    if not there:
        return options

    said = ", ".join(f"@{name}" for name in there)
    return replace(options, prompt=f"{options.prompt}\n\n(I am looking at {said}.)")


def read_instructions(setting: str) -> tuple[str, list[Note]]:
    """`MCPNotebook.instructions` as they are sent: a text, or what its file says now;
    raises ConfigError for a file that is not there or holds no text.
    """
    text = setting.strip()
    if text and "\n" not in text:
        text = _text_of_file(text)

    kept = cut_text(seal_text(text).strip(), MOST_INSTRUCTIONS, _CUT)
    if not kept.endswith(_CUT):
        return kept, []

    size = len(text.encode("utf-8", "replace"))
    return kept, [
        Note(
            f"The house rules (MCPNotebook.instructions) are {size:,} bytes, and only the "
            f"first {MOST_INSTRUCTIONS:,} are sent: shorten them.",
            "warning",
        )
    ]


def _text_of_file(line: str) -> str:
    """What the file holds that the line names; the line itself when it names none."""
    path = Path(line).expanduser()
    try:
        is_file = path.is_file()
    except OSError:  # a sentence is longer than a file's name may be
        is_file = False

    if is_file:
        # twice the limit, so that what is cut is known to be cut
        with path.open("rb") as file:
            data = file.read(2 * MOST_INSTRUCTIONS)

        if b"\0" in data:
            raise ConfigError(
                f"MCPNotebook.instructions names {line}, which holds no text: name a "
                "text file, e.g. CLAUDE.md."
            )

        return data.decode("utf-8-sig", "replace")

    is_path = " " not in line and line.lower().endswith(_RULE_FILES)
    if is_path or line.startswith(("./", "../", "~/", "/")):
        raise ConfigError(
            f"MCPNotebook.instructions names the file {line}, which is not in "
            f"{Path.cwd()}: check the path, or write the rules themselves."
        )

    return line


async def _facts_of(
    notebook: Notebook, backend: backends.Backend
) -> tuple[backends.ModelFacts, str]:
    """What the service says of the model, asked once a kernel and model, and a warning
    that is said once. A recording asks nothing that is no turn.
    """
    key = (backend.address, backend.model)
    known = notebook.model_facts.get(key)
    if known is not None:
        return known, ""
    if not backend.searches or notebook.recording is not None:
        return backends.ModelFacts(), ""

    found = notebook.model_facts[key] = await backends.ask_facts(backend)
    return found, found.warning


def _add_words(notebook: Notebook, sessions: list[Any], rules: str) -> str:
    """What the person says of the servers' tables, and the house rules."""
    names = sorted(session.name for session in sessions)
    words = "".join(shared_tables.tell_server(notebook, name) for name in names)
    if rules:
        words += f"\nHouse rules of the person who asks:\n{rules}\n"

    return words


def _system_prompt(sessions: list[Any], added: str, more: str) -> str:
    """The rules, the servers' words and then the person's, which are the last to be
    read. Without the person's it is to the letter what recorded turns were asked with.
    """
    text = system_prompt(sessions) + added
    if more.strip():
        text += f"\n{more.strip()}\n"

    return text


async def _prompt(
    notebook: Notebook,
    options: Settled,
    budget: Budget,
    named: list[mentions.Named],
    attached: list[mentions.Attached],
) -> list[Block]:
    """The person's words, the schemas of tables that they name, and what else they name."""
    describing, masking = shared_tables.load_describing()
    names = [thing.written for thing in named if thing.kind == "table"]
    schemas = {}
    masks = masking.Masks(notebook.veil.patterns, known=notebook.veil.known)
    for name in names:
        # outside only what %mcp_share named
        notebook.catalog.add(name, variable=name, origin="named")
        entry = notebook.catalog.find_described(name)
        schemas[name] = await asyncio.to_thread(
            describing.tell_table, notebook.table(name), name, entry, masks
        )

    blocks = user_blocks(options.prompt, names, schemas.__getitem__)
    if options.code:
        blocks.append({"type": "text", "text": WANT_CODE})

    # After the words and the schemas, so that the prompt begins as it was written.
    blocks.append(clock_block())
    more = [block for one in attached for block in one.blocks]
    if any(thing.kind == "resource" for thing in named):
        words = mentions.without_code(options.prompt)
        rows = options.rows_to_model
        more += await resources.attach_mentions(notebook, words, rows)

    return blocks + [_fit(block, budget) for block in more]


def _fit(block: Block, budget: Budget) -> Block:
    if block["type"] != "text":
        return block

    return {**block, "text": budget.fit(block["text"])}


def _choose_sessions(notebook: Notebook, names: tuple[str, ...]) -> list[Any]:
    if not names:
        return [s for s in notebook.sessions if s.state != "closed"]

    return [notebook.sessions.get(name) for name in dict.fromkeys((*names, OWN_SERVER))]


def _backend(notebook: Notebook, options: Settled) -> Any:
    """Who answers a cell; a dry run needs nobody."""

    try:
        return backend_of(notebook, options.model, replay=options.replay)
    except BackendError:
        if not options.dry_run or options.replay:
            raise

        return backends.backend_of_nobody(options.model)


def backend_of(notebook: Notebook, model: str = "", *, replay: bool = False) -> Any:
    """Who answers; raises BackendError. `model` empty: the settings say which."""

    settings = notebook.settings
    own, others = notebook.replay_files()
    record = recorded = None
    # Recording asks the model anew, even where turns are recorded already.
    if notebook.recording is not None:
        http = httpx2.AsyncHTTPTransport(retries=1)
        source = settings.record_source
        record = RecordTransport(
            notebook.recording, http, source=source, tables=notebook.tape.tables
        )
    elif own is not None or others:
        recorded = ReplayTransport(
            own,
            others=others,
            has_name=notebook.path() is not None,
            file_notes=notebook.file_notes,
            strict=settings.strict,
            tables=notebook.tape.tables,
        )

    return backends.choose_backend(
        client=notebook.client(),
        model=model or settings.model,
        prefer="replay" if replay or settings.offline else settings.backend,  # type: ignore[arg-type]
        replay=recorded,
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
    # A budget that cannot be counted would never stop: refused before a turn is paid.
    budget = Budget(limits, settings.notebook_limits(), notebook.spent)
    for dollars in (limits.dollars, budget.notebook.dollars):
        if dollars is not None:
            _check_price(backend, dollars)

    return budget


def _check_price(backend: Any, dollars: float) -> None:

    if not backend.free and not backends.has_price(backend.model):
        raise BudgetError(
            f"No price is known for {backend.model!r}, so a budget of ${dollars:g} cannot be kept; "
            "run without a dollar budget or choose another model."
        )


def form_of(notebook: Notebook, kind: Any) -> typed.Form | None:
    """The form of `--as`: a type, or an expression in terms of the person's own names;
    raises ConfigError.
    """
    if kind in ("", None):
        return None

    return typed.form_of(kind, notebook.shell.user_ns)


def length_notes(
    notebook: Notebook, conversation: Conversation, backend: backends.Backend
) -> list[Note]:
    """Trims a long conversation before a cell and says so; warns when the model's
    window is nearly full.
    """
    settings = notebook.settings
    if not conversation.tokens:
        return []

    facts = notebook.model_facts.get((backend.address, backend.model))
    said = facts.window if facts is not None else None
    window = settings.context_window or (
        None if backend.free else said or backends.window_of(backend.model)
    )
    return [
        Note(line, "warning")
        for line in prepare_conversation(conversation, settings.trim_tokens, window)
    ]


async def dry_run_events(
    conversation: Conversation, composed: Composed, system: str, *, asks: bool
) -> AsyncGenerator[Event, None]:
    """The events of a cell that asks no model for words."""
    tools, _ = choose_tools(
        composed.toolset,
        above=composed.request.search_above,
        api_searches=composed.request.backend.searches,
        used=conversation.tool_names,
        asks=asks,
    )
    if composed.request.web:
        tools = [*tools, *web_tools(cites=composed.request.schema is None)]

    text = await describe_request(
        composed.request, conversation, composed.prompt, tools
    )
    if composed.added:
        text += f"\nThe system prompt says besides:{hide(composed.added)}"
    if system:
        text += f"\nThe system prompt ends with: {system}"

    # the prompt may hold fences of three
    fence = "`" * 4
    yield TextDelta(f"{fence}text\n{text}\n{fence}\n")
    yield Stop("done")


def value_of(conversation: Conversation, form: typed.Form) -> Any:
    """The value of the last answer; raises DataError."""
    # The last reply: what was said before a call is no part of the value.
    blocks = conversation.messages[-1]["content"]
    text = "".join(block.get("text", "") for block in blocks)
    try:
        return form.value(text)
    except ValueError as error:
        words = " ".join(str(error).split())[:300]
        raise DataError(f"The answer is not of the type asked for ({words}).") from None
