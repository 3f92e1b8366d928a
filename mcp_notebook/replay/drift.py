"""How the live world differs from the one in which a turn was recorded."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from mcp_notebook.replay.keys import Evidence, Setup, TurnFingerprint
from mcp_notebook.replay.sidecar import Turn
from mcp_notebook.secrets import mask

_SHOWN = 160  # characters of each side in the sentence


@dataclass(frozen=True)
class Drift:
    """One difference. `recorded` and `live` are texts: of a result, or names; `str()`
    is the sentence to show.
    """

    kind: Literal["result", "setup", "place"]
    call: str  # the tool call, or what of the setup differs
    recorded: str
    live: str

    def __str__(self) -> str:
        if self.kind == "place":
            return f"This answer was recorded {self.call}: {self.live}."
        if self.kind == "setup":
            return f"Recorded with {self.call}: {self.live}."
        sides = f"recorded: {_short(self.recorded)} | now: {_short(self.live)}"
        return f"The recorded answer was written for another result of {_short(self.call)}; {sides}"


def drift_of(
    turn: Turn, live: TurnFingerprint, known: Mapping[str, str]
) -> Iterator[Drift]:
    """What newly differs between the recorded turn and the live request; `known` is
    {digest: recorded text}.

    Each turn tells of the results that came with its last message, a cell's first turn
    of prompt and tools: so that a difference is told once, where it matters, however
    long the conversation is.
    """
    if not live.news:
        yield from _setup_drift(turn.setup, live.setup)

    pairs = list(zip(turn.evidence, live.evidence, strict=False))
    for digest, evidence in pairs[len(pairs) - live.news :]:
        if digest != evidence.digest:
            yield Drift(
                "result",
                evidence.call,
                known.get(digest, "(text not recorded)"),
                evidence.text,
            )


def result_texts(
    evidence: tuple[Evidence, ...], news: int, limit: int
) -> list[dict[str, object]]:
    """What to keep of the results that came with the last message, each text masked,
    then cut at `limit` characters.
    """
    newest = evidence[len(evidence) - news :]
    return [
        {
            "call": e.call,
            "digest": e.digest,
            "error": e.error,
            "text": _cut(mask(e.text), limit),
        }
        for e in newest
    ]


def _setup_drift(recorded: Setup, live: Setup) -> Iterator[Drift]:
    if recorded.system != live.system:
        yield Drift(
            "setup",
            "another system prompt",
            recorded.system,
            "instructions or connected servers differ",
        )

    if recorded.tables != live.tables:
        yield Drift(
            "setup",
            "other tables",
            recorded.tables,
            "the schema of a table named in the prompt differs",
        )

    if recorded.tools.keys() != live.tools.keys():
        gone, new = (
            sorted(recorded.tools.keys() - live.tools),
            sorted(live.tools.keys() - recorded.tools),
        )
        words = [
            f"missing now {', '.join(gone)}" if gone else "",
            f"new now {', '.join(new)}" if new else "",
        ]
        yield Drift(
            "setup",
            "other tools",
            ", ".join(recorded.tools),
            "; ".join(w for w in words if w),
        )

    if changed := _changed_names(recorded.tools, live.tools):
        yield Drift("setup", "other tool arguments", changed, changed)

    if changed := _changed_names(recorded.descriptions, live.descriptions):
        yield Drift("setup", "other tool descriptions", changed, changed)


def _changed_names(recorded: Mapping[str, str], live: Mapping[str, str]) -> str:
    return ", ".join(
        name for name in sorted(recorded.keys() & live) if recorded[name] != live[name]
    )


def _short(text: str) -> str:
    line = " ".join(text.split())
    if len(line) <= _SHOWN:
        return line
    return f"{line[:_SHOWN]}…"


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    return f"{text[:limit]}\n… ({len(text) - limit:,} more characters)"
