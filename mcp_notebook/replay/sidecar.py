"""The file of recorded turns beside a notebook: `analysis.ipynb` has `analysis.claude.json`.

Readable, versioned JSON: {"format", "version", "about", "turns": [...]}, one entry a
turn of the model, in the order in which they were recorded. A turn holds the prompt,
the tool results it was written for (cut), the replies as the API's messages, and where
they came from. It holds no headers and, as far as `secrets` can tell, no secrets.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mcp_notebook.config.userfiles import lock_folder, write_whole
from mcp_notebook.errors import BackendError
from mcp_notebook.naming import OWN_SERVER
from mcp_notebook.replay.keys import Evidence, Setup, TurnFingerprint
from mcp_notebook.secrets import mask, mask_json, seal_arguments
from mcp_notebook.untrusted_text import sendable

SUFFIX = ".claude.json"
FORMAT = "mcp-notebook recorded turns"
VERSION = 1
ABOUT = (
    "Words of a model, recorded. Replayed by %%claude when there is no model to "
    "ask; the tool calls then run live."
)


@dataclass(frozen=True)
class Turn:
    """One recorded request with the replies it got, in order when it was asked several times."""

    key: str
    prompts: tuple[str, ...]  # what opened each cell of the conversation so far
    prompt: str  # what the person said last
    # what answered, e.g. "claude-sonnet-5-5 · live", or "scripted": nobody did
    source: str
    recorded: str  # ISO date
    setup: Setup
    evidence: tuple[str, ...]  # digests of all results this turn rests on
    # {call, digest, error, text} of those that came with the last message
    results: tuple[dict[str, Any], ...]
    # messages as the API gives them without streaming
    replies: tuple[dict[str, Any], ...]

    @property
    def opens(self) -> bool:
        """Whether this is the first turn of a cell."""
        return not self.results

    @property
    def tools_called(self) -> frozenset[str]:
        """Names of the tools that the replies call."""
        blocks = (block for reply in self.replies for block in reply["content"])
        return frozenset(
            block["name"] for block in blocks if block["type"] == "tool_use"
        )


@dataclass(frozen=True)
class RecordedPrompt:
    """One prompt of a file, with how many turns of the model answer it."""

    prompt: str
    turns: int
    source: str
    recorded: str


@dataclass(frozen=True)
class Description:
    """What a file of recorded turns holds."""

    path: Path
    bytes: int
    prompts: tuple[RecordedPrompt, ...]

    def __str__(self) -> str:
        lines = [f"{self.path.name}: {len(self.prompts)} prompts, {self.bytes:,} bytes"]
        lines += [
            f"  {first_line(p.prompt)}  ({p.turns} turns, {p.recorded}, {p.source})"
            for p in self.prompts
        ]
        return "\n".join(lines)


def sidecar_for(notebook: Path) -> Path:
    """`x.ipynb` -> `x.claude.json`."""
    return Path(notebook).with_suffix(SUFFIX)


def notebook_of(sidecar: Path) -> Path:
    """`x.claude.json` -> `x.ipynb`, there or not."""
    return sidecar.with_name(sidecar.name.removesuffix(SUFFIX) + ".ipynb")


def sidecars_in(folder: Path) -> list[Path]:
    """The files of recorded turns in a folder, by name; of hidden ones none."""
    return sorted(
        path for path in folder.glob(f"*{SUFFIX}") if not path.name.startswith(".")
    )


def hold_cell(folder: Path, cell_id: str, source: str) -> list[Path]:
    """The notebooks of a folder that hold a cell, by its id; where no id is known or
    none holds it, by its source.
    """
    by_id: list[Path] = []
    by_source: list[Path] = []
    for path in sorted(folder.glob("*.ipynb")):
        cells = _cells_of(path)
        if cell_id and any(cell.get("id") == cell_id for cell in cells):
            by_id.append(path)
        if any(_source_of(cell) == source.strip() for cell in cells if source):
            by_source.append(path)

    return by_id or by_source


def _cells_of(notebook: Path) -> list[dict[str, Any]]:
    try:
        content = json.loads(notebook.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):  # no notebook, whatever it is called
        return []

    cells = content.get("cells") if isinstance(content, dict) else None
    if not isinstance(cells, list):
        return []
    return [cell for cell in cells if isinstance(cell, dict)]


def _source_of(cell: dict[str, Any]) -> str:
    source = cell.get("source", "")
    if isinstance(source, list):
        source = "".join(str(line) for line in source)
    return str(source).strip()


def move_along(old: Path, new: Path) -> bool:
    """Give the recording of a notebook that was renamed its new name, unless there is
    one; whether it was.
    """
    # another kernel may be writing into it
    with lock_folder(new.parent):
        if new.exists() or not old.exists():
            return False

        old.replace(new)
        return True


def describe(path: Path) -> Description:
    """The prompts, sources and dates in a file. Raises BackendError."""
    groups: dict[tuple[str, ...], list[Turn]] = {}
    for turn in load(path):
        groups.setdefault(turn.prompts, []).append(turn)

    prompts = (
        RecordedPrompt(p[-1] if p else "", len(t), t[0].source, t[0].recorded)
        for p, t in groups.items()
    )
    return Description(Path(path), Path(path).stat().st_size, tuple(prompts))


def load(path: Path) -> list[Turn]:
    """The turns of a file; raises BackendError when it cannot be read or is of a newer version."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise BackendError(
            f"Cannot read the recorded turns in {path}: {error.strerror}."
        ) from error
    # a thousand brackets, too, are no recording
    except (ValueError, RecursionError) as error:
        raise BackendError(
            f"{path} is not a file of recorded turns: {error}."
        ) from error

    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise BackendError(
            f"{path} is not a file of recorded turns; move it away or record again."
        )
    # true is 1 in Python
    if content.get("version") != VERSION or content["version"] is True:
        raise BackendError(
            f"{path} has version {content.get('version')} of the format; update "
            "mcp-notebook to read it."
        )

    wrong = _find_damage(content.get("turns"), "turns", _TURNS)
    if wrong:
        raise BackendError(f"{path} is damaged ({wrong}); record it again.")

    return [_turn(entry) for entry in content["turns"]]


class _Maybe:
    """A field that may be missing or null."""

    def __init__(self, kind: Any) -> None:
        self.kind = kind


_TEXTS = [str]
_HASHES = {"": str}  # any name
_BLOCK = {
    "type": str,
    "text": _Maybe(str),
    "id": _Maybe(str),
    "name": _Maybe(str),
    "input": _Maybe({"": object}),
    "thinking": _Maybe(str),
    "signature": _Maybe(str),
}
_USAGE = {
    # a local server may count nothing
    "input_tokens": _Maybe(int),
    "output_tokens": _Maybe(int),
    "cache_read_input_tokens": _Maybe(int),
    "cache_creation_input_tokens": _Maybe(int),
}
_REPLY = {
    "id": str,
    "type": str,
    "role": str,
    "model": str,
    "content": [_BLOCK],
    "stop_reason": str,
    "stop_sequence": _Maybe(str),
    "usage": _USAGE,
}
# The shape that `load` relies on; docs/recordings.schema.json publishes the same. Hand
# edits and merges happen to a file that stands beside a notebook under version control.
_TURNS = [
    {
        "key": str,
        "prompts": _TEXTS,
        "prompt": str,
        "source": str,
        "recorded": str,
        "setup": {
            "system": str,
            "tables": str,
            "tools": _HASHES,
            "descriptions": _HASHES,
        },
        "evidence": _TEXTS,
        "results": [{"call": str, "digest": str, "error": bool, "text": str}],
        "replies": [_REPLY],
    }
]
# what a block of a kind must have to be sent on
_OF_BLOCKS = {"text": ("text",), "tool_use": ("id", "name", "input")}


def _find_damage(value: Any, place: str, shape: Any) -> str:
    """Where a value has not the shape, in words; empty where it has."""
    if isinstance(shape, _Maybe):
        return "" if value is None else _find_damage(value, place, shape.kind)
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{place} is no list"
        found = (
            _find_damage(v, f"{place}[{i}]", shape[0]) for i, v in enumerate(value)
        )
        return next(filter(None, found), "")
    if isinstance(shape, dict):
        return _find_damaged_field(value, place, shape)

    # a bool is an int in Python, and no count here
    fits = isinstance(value, shape) and (shape is not int or type(value) is int)
    return "" if fits else f"{place} is {type(value).__name__}, not {shape.__name__}"


def _find_damaged_field(value: Any, place: str, shape: dict[str, Any]) -> str:
    if not isinstance(value, dict):
        return f"{place} is no object"
    if "" in shape:
        shape = dict.fromkeys(value, shape[""])
    if shape is _BLOCK:
        required = _OF_BLOCKS.get(str(value.get("type")), ())
        shape = {**shape, **{name: _take_field(shape[name]) for name in required}}

    found = (
        _find_damage(value.get(name), f"{place}.{name}", kind)
        for name, kind in shape.items()
    )
    return next(filter(None, found), "")


def _take_field(kind: Any) -> Any:
    return kind.kind if isinstance(kind, _Maybe) else kind


def save(path: Path, turns: Iterable[Turn]) -> None:
    """Write the file in one step (a reader sees the old or the new one); secrets are masked."""
    content = {
        "format": FORMAT,
        "version": VERSION,
        "about": ABOUT,
        "turns": [dataclasses.asdict(t) for t in turns],
    }
    for turn in content["turns"]:
        turn["replies"] = [_without_secrets(reply) for reply in turn["replies"]]

    kept = sendable(mask_json(content))
    text = json.dumps(kept, ensure_ascii=False, indent=1) + "\n"
    write_whole(Path(path), text.encode())


def _without_secrets(reply: dict[str, Any]) -> dict[str, Any]:
    """A reply whose calls have their arguments sealed, as the conversation keeps them."""
    return {**reply, "content": [_sealed_block(block) for block in reply["content"]]}


def _sealed_block(block: dict[str, Any]) -> dict[str, Any]:
    if "input" not in block:
        return block
    return {**block, "input": seal_arguments(block["input"])}


def first_line(prompt: str, width: int = 90) -> str:
    """The first line of a prompt, cut."""
    line = prompt.strip().partition("\n")[0]
    if len(line) <= width:
        return line
    return f"{line[: width - 1]}…"


def _turn(entry: dict[str, Any]) -> Turn:
    return Turn(
        key=entry["key"],
        prompts=tuple(entry["prompts"]),
        prompt=entry["prompt"],
        source=entry["source"],
        recorded=entry["recorded"],
        setup=Setup(
            **{f.name: entry["setup"][f.name] for f in dataclasses.fields(Setup)}
        ),
        evidence=tuple(entry["evidence"]),
        results=tuple(entry["results"]),
        replies=tuple(
            {**reply, "content": list(reply["content"])} for reply in entry["replies"]
        ),
    )


# How the live world differs from the one in which a turn was recorded.


_SHOWN = 160  # characters of each side in the sentence


@dataclass(frozen=True)
class Drift:
    """One difference. `recorded` and `live` are texts: of a result, or names; `str()`
    is the sentence to show.
    """

    kind: Literal["result", "setup", "place", "file"]
    # the tool call, what of the setup differs, or which file answers
    call: str
    recorded: str
    live: str

    def __str__(self) -> str:
        if self.kind == "file":
            return self.live
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

    before, now = _of_servers(recorded.tools), _of_servers(live.tools)
    if before.keys() != now.keys():
        gone, new = sorted(before.keys() - now), sorted(now.keys() - before)
        words = [
            f"missing now {', '.join(gone)}" if gone else "",
            f"new now {', '.join(new)}" if new else "",
        ]
        yield Drift(
            "setup",
            "other tools",
            ", ".join(before),
            "; ".join(w for w in words if w),
        )

    if changed := _changed_names(before, now):
        yield Drift("setup", "other tool arguments", changed, changed)

    before, now = _of_servers(recorded.descriptions), _of_servers(live.descriptions)
    if changed := _changed_names(before, now):
        yield Drift("setup", "other tool descriptions", changed, changed)


def _of_servers(tools: Mapping[str, str]) -> dict[str, str]:
    """The tools of connected servers, by name. The notebook's own come with this package
    and change with its versions: a difference there says nothing of the person's data.
    """
    own = f"{OWN_SERVER}__"
    return {name: mark for name, mark in tools.items() if not name.startswith(own)}


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
