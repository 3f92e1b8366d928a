"""A run as it is kept in memory, made by hand: calls, their tables, the notebook's
variables and its cells of code.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from mcp_notebook.config import ConnectOptions
from mcp_notebook.freeze.call_log import Call, Facts, Run, Trail
from mcp_notebook.freeze.sealing import Sealer
from mcp_notebook.freeze.select_calls import Chosen, Surroundings, Wish, choose
from mcp_notebook.freeze.steps import FreezePlan, plan, problem_with
from mcp_notebook.freeze.writer import Cell, Style, cell, cells, script

QUERY = Facts(reads=True, sql="sql", only=True)


class Made:
    """A notebook in which calls are made by hand."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self.trail = Trail()
        self.namespace: dict[str, Any] = {}
        self.code = [""]
        self.environ = dict(environ or {})
        self.connect(
            "shop", "mcp-notebook", "serve", "database", "--url", "sqlite:///shop.db"
        )

    def connect(self, name: str, *words: str, **options: Any) -> None:
        """`%mcp_connect name words`."""
        self.trail.note_connection(ConnectOptions((name,), words, **options))

    def ask(self, cell: str, prompt: str = "A question?", into: str = "") -> None:
        """A `%%claude` cell begins."""
        self.trail.note_question(Run(cell, prompt, into))
        self.code.append(f"%%claude\n{prompt}")

    def call(
        self,
        tool: str,
        arguments: Mapping[str, Any],
        *names: str,
        cell: str = "one",
        server: str = "shop",
        into: str = "",
        facts: Facts = QUERY,
        outcome: str = "ok",
        frames: tuple[pd.DataFrame, ...] = (),
        truncated: str = "",
    ) -> Call:
        """A call that gave tables under these names; `into` is the name asked for, for
        the last one.
        """
        number = len(self.trail.calls)
        made = Call(
            f"c{number}",
            server,
            tool,
            dict(arguments),
            facts,
            cell,
            at=len(self.code) - 1,
        )
        self.trail.sent(made, dict(self.namespace) if server == "notebook" else None)
        for index, name in enumerate(names):
            frame = frames[index] if frames else pd.DataFrame({"n": [number, index]})
            frame.attrs["mcp"] = {"call_id": made.id}
            self.namespace[name] = frame
            self.trail.kept(made.id, index, name, frame, truncated)
            if into and index == len(names) - 1:
                self.namespace[into] = frame
                self.trail.note_name(into, frame)
        self.trail.note_end(made.id, outcome)
        return made

    def query(self, sql: str, *names: str, **options: Any) -> Call:
        """SQL to the shop's server."""
        return self.call("query_database", {"sql": sql}, *names, **options)

    def own(self, sql: str, *names: str, **options: Any) -> Call:
        """SQL over the notebook's own tables."""
        return self.call("query", {"sql": sql}, *names, server="notebook", **options)

    def around(self) -> Surroundings:
        return Surroundings(
            self.namespace,
            self.code,
            problem=lambda call: problem_with(call, self.environ),
        )

    def chosen(self, *names: str, **wish: Any) -> Chosen:
        return choose(self.trail, Wish(names, **wish), self.around())

    def plan(
        self,
        *names: str,
        checks: bool = False,
        mask: tuple[str, ...] = (),
        reserved: tuple[str, ...] = (),
        **wish: Any,
    ) -> FreezePlan:
        chosen, sealer = self.chosen(*names, **wish), Sealer(self.environ)
        return plan(
            chosen,
            self.trail,
            self.around(),
            sealer,
            checks=checks,
            mask=mask,
            reserved=reserved,
        )

    def script(
        self,
        *names: str,
        style: Style | None = None,
        answers: bool = False,
        **wish: Any,
    ) -> str:
        return script(
            self.plan(*names, **wish),
            style or Style(),
            heading="Frozen",
            answers=answers,
        )

    def cell(
        self, *names: str, connected: tuple[str, ...] = ("shop",), **wish: Any
    ) -> str:
        return cell(self.plan(*names, **wish), Style(), connected=connected)

    def cells(self, *names: str, answers: bool = False, **wish: Any) -> list[Cell]:
        return cells(
            self.plan(*names, **wish), Style(), heading="# Frozen", answers=answers
        )


def tools(chosen: Chosen) -> list[str]:
    """The first table, or else the tool, of each chosen call; with a # before those
    that are commented out.
    """
    return [
        ("# " if choice.why_not else "")
        + next((k.name for k in choice.call.kept()), choice.call.tool)
        for choice in chosen.choices
    ]
