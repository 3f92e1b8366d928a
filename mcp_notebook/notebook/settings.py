"""`%config MCPNotebook`: what a person may set, with its help."""

from __future__ import annotations

from typing import TYPE_CHECKING

from traitlets import Any, Bool, CFloat, CInt, Enum, List, Unicode
from traitlets.config import Configurable

from mcp_notebook.notebook.options import OPTIONS

if TYPE_CHECKING:
    from mcp_notebook.policy import Limits


class MCPNotebook(Configurable):
    """Settings of mcp-notebook. Those that a single question can have as an option too
    have its default and help from there.
    """

    model = Unicode(**OPTIONS["model"].trait()).tag(config=True)
    effort = Enum(["", *OPTIONS["effort"].choices], **OPTIONS["effort"].trait()).tag(
        config=True
    )
    system = Unicode(**OPTIONS["system"].trait()).tag(config=True)
    backend = Enum(
        ["auto", "live", "replay"],
        "auto",
        help="Who answers: auto asks a model if there is one, else replays.",
    ).tag(config=True)
    client = Any(
        None,
        help="Name of a variable with your own async Anthropic client (Bedrock, "
        "Vertex, Foundry, a gateway), e.g. "
        "'bedrock'; the name, because %config copies its values and a client cannot be copied.",
    ).tag(config=True)
    replay_file = Unicode(
        "",
        help="File with recorded turns; empty: NAME.claude.json beside the notebook.",
    ).tag(config=True)
    record_source = Unicode(
        "",
        help="What a recording says of where its turns come from; empty: the model's name.",
    ).tag(config=True)
    max_tokens = CInt(**OPTIONS["max_tokens"].trait()).tag(config=True)
    max_iterations = CInt(**OPTIONS["max_iterations"].trait()).tag(config=True)
    max_calls = CInt(**OPTIONS["max_calls"].trait()).tag(config=True)
    max_seconds = CFloat(**OPTIONS["max_seconds"].trait()).tag(config=True)
    max_usd = CFloat(**OPTIONS["max_usd"].trait()).tag(config=True)
    max_cell_tokens = CInt(**OPTIONS["max_cell_tokens"].trait()).tag(config=True)
    max_rows_to_model = CInt(
        0, min=0, help="Rows that one cell may show the model; 0: no limit."
    ).tag(config=True)
    max_bytes_to_model = CInt(
        0, min=0, help="Bytes of results that one cell may show the model; 0: no limit."
    ).tag(config=True)
    notebook_max_turns = CInt(
        0, min=0, help="Model turns of all cells together; 0: no limit."
    ).tag(config=True)
    notebook_max_calls = CInt(
        0, min=0, help="Tool calls of all cells together; 0: no limit."
    ).tag(config=True)
    notebook_max_seconds = CFloat(
        0.0, min=0, help="Seconds of all cells together; 0: no limit."
    ).tag(config=True)
    notebook_max_tokens = CInt(
        0, min=0, help="Tokens of all cells together; 0: no limit."
    ).tag(config=True)
    notebook_max_usd = CFloat(
        0.0, min=0, help="Dollars of all cells together; 0: no budget."
    ).tag(config=True)
    notebook_max_rows = CInt(
        0, min=0, help="Rows that all cells may show the model; 0: no limit."
    ).tag(config=True)
    notebook_max_bytes = CInt(
        0, min=0, help="Bytes of results for the model, all cells; 0: no limit."
    ).tag(config=True)
    tool_search = CInt(
        30,
        min=1,
        help="More tools than this are searched for by the model, not all sent.",
    ).tag(config=True)
    trim_tokens = CInt(
        60_000,
        min=0,
        help="Conversations longer than this lose their old results before a cell; 0: never.",
    ).tag(config=True)
    context_window = CInt(
        0, min=0, help="Tokens that fit the model; 0: what is known of it."
    ).tag(config=True)
    log_file = Unicode(
        "", help="File for a line of JSON a turn and a call; empty: none."
    ).tag(config=True)
    tool_timeout = CFloat(60.0, min=0.1, help="Seconds one tool call may take.").tag(
        config=True
    )
    connect_timeout = CFloat(
        60.0, min=1, help="Seconds a server may take to start."
    ).tag(config=True)
    rows_to_model = CInt(**OPTIONS["rows_to_model"].trait()).tag(config=True)
    text_bytes = CInt(
        50_000, min=1000, help="Bytes of a text result that the model is shown."
    ).tag(config=True)
    mask = List(
        Unicode(), help="Columns whose values the model never sees, e.g. ['email']."
    ).tag(config=True)
    approval = Enum(
        ["ask", "allow", "deny"],
        "ask",
        help="What happens to tools of other servers for which there is no rule.",
    ).tag(config=True)
    allow = List(Unicode(), **OPTIONS["allow"].trait()).tag(config=True)
    ask = List(
        Unicode(),
        help="Tools that ask each time, e.g. [\"shop.query(sql~'delete|update')\"].",
    ).tag(config=True)
    deny = List(Unicode(), help="Tools that never run.").tag(config=True)
    unattended = Enum(
        ["deny", "allow"],
        "deny",
        help="What becomes of a question when nobody is there to answer it.",
    ).tag(config=True)
    retry = List(
        Unicode(),
        help="Tools that may run twice when a server is lost, e.g. ['shop.read_*'].",
    ).tag(config=True)
    cards = Enum(
        ["auto", "widget", "static", "text"], "auto", help="How tool calls are shown."
    ).tag(config=True)
    question_seconds = CFloat(
        300.0,
        min=1,
        help="Seconds for which a server's question waits for you before it is cancelled.",
    ).tag(config=True)
    sampling = Bool(
        False,
        help=(
            "Let servers that are connected from now on ask your model for a "
            "reply; you are asked each time."
        ),
    ).tag(config=True)
    sampling_turns = CInt(
        10, min=0, help="Replies that servers may ask for in one kernel."
    ).tag(config=True)
    sampling_max_tokens = CInt(
        1000, min=1, help="Tokens of one such reply at most."
    ).tag(config=True)
    roots = List(
        Unicode(),
        help=(
            "Folders that servers may ask for, e.g. ['.']; one connected while "
            "there are none never may."
        ),
    ).tag(config=True)
    types = Enum(
        ["everyday", "exact"],
        "everyday",
        help=(
            "What columns of results are in pandas: everyday has dtypes that all of "
            "pandas works on (days are datetime64, decimals floats where no digit is "
            "lost, lists Python lists), exact has Arrow's own. SQL over a result and "
            "its export are exact either way."
        ),
    ).tag(config=True)
    sign_in = Enum(
        ["auto", "loopback", "paste"],
        "auto",
        help=(
            "How a sign-in comes back: to this machine's loopback, or pasted where "
            "the browser is on another one."
        ),
    ).tag(config=True)
    server_log = Enum(
        ["", "debug", "info", "notice", "warning", "error"],
        "",
        help=(
            "From which level on servers that are connected now are asked to log; "
            "%mcp_status NAME shows it."
        ),
    ).tag(config=True)
    nested_asyncio = Bool(
        False,
        help=(
            "Let pasted asyncio.run(...) code work in a cell (applies "
            "nest_asyncio2 to the kernel's loop)."
        ),
    ).tag(config=True)

    def notebook_limits(self) -> Limits:
        """The limits of all cells together."""
        from mcp_notebook.policy import Limits  # not needed to load the extension

        return Limits(
            iterations=self.notebook_max_turns,
            calls=self.notebook_max_calls,
            seconds=self.notebook_max_seconds,
            tokens=self.notebook_max_tokens,
            dollars=self.notebook_max_usd or None,
            rows=self.notebook_max_rows,
            bytes=self.notebook_max_bytes,
        )
