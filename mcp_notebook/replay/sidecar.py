"""The file of recorded turns beside a notebook: `analysis.ipynb` has `analysis.claude.json`.

Readable, versioned JSON: {"format", "version", "about", "turns": [...]}, one entry a
turn of the model, in the order in which they were recorded. A turn holds the prompt,
the tool results it was written for (cut), the replies as the API's messages, and where
they came from. With `%claude_record on --tools` also "servers" (as they described
themselves) and "calls" (what their tools gave); large tables lie in `claude_tables`
beside it. It holds no headers and, as far as `secrets` can tell, no secrets.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mcp_notebook.config.userfiles import lock_folder, write_whole
from mcp_notebook.errors import BackendError, DataError
from mcp_notebook.naming import OWN_SERVER
from mcp_notebook.replay.keys import Evidence, Setup, TurnFingerprint
from mcp_notebook.secrets import mask, mask_json, seal_arguments
from mcp_notebook.untrusted_text import sendable

SUFFIX = ".claude.json"
FORMAT = "mcp-notebook recorded turns"
VERSION = 2
_READ = (1, VERSION)  # the first had no sums, tables, servers and calls
TABLES = "claude_tables"  # the folder of large tables, one for all notebooks beside it
# What a recording names, wherever it came from, is in that folder and nowhere else.
KEPT_FILE = re.compile(r"[0-9a-f]{16}\.(parquet|arrow|json)")
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
    calls: int = 0  # of tools, whose results are kept
    servers: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.path.name}: {len(self.prompts)} prompts, {self.bytes:,} bytes"]
        lines += [
            f"  {first_line(p.prompt)}  ({p.turns} turns, {p.recorded}, {p.source})"
            for p in self.prompts
        ]
        if self.calls:
            servers = ", ".join(self.servers)
            lines.append(f"  and the results of {self.calls} calls of {servers}")

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
    content = read_sidecar(path)
    groups: dict[tuple[str, ...], list[Turn]] = {}
    for turn in content.turns:
        groups.setdefault(turn.prompts, []).append(turn)

    prompts = (
        RecordedPrompt(p[-1] if p else "", len(t), t[0].source, t[0].recorded)
        for p, t in groups.items()
    )
    size = Path(path).stat().st_size
    return Description(
        Path(path), size, tuple(prompts), len(content.calls), tuple(content.servers)
    )


@dataclass(frozen=True)
class SidecarContent:
    """All that a file holds; `servers` by name and `calls` are JSON, see `_SERVER` and
    `_CALL`.
    """

    turns: tuple[Turn, ...] = ()
    servers: Mapping[str, dict[str, Any]] = field(default_factory=dict[str, Any])
    calls: tuple[dict[str, Any], ...] = ()


def load(path: Path) -> list[Turn]:
    """The turns of a file; raises BackendError when it cannot be read or is of a newer version."""
    return list(read_sidecar(path).turns)


def read_sidecar(path: Path) -> SidecarContent:
    """The content of a file; raises BackendError as `load` does."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise BackendError(
            f"Cannot read the recorded turns in {path}: {error.strerror}."
        ) from error
    except ValueError as error:
        raise BackendError(
            f"{path} is not a file of recorded turns: {error}."
        ) from error

    if _CONFLICT.search(text):
        raise BackendError(
            f"{path} holds the marks of a merge conflict: choose one side and keep it "
            "whole, or record again."
        )

    try:
        content = json.loads(text)
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
    version = content.get("version")
    if version not in _READ or version is True:
        raise BackendError(
            f"{path} has version {version} of the format; update mcp-notebook to read it."
        )

    wrong = _find_damage(content, "", FILE_SHAPE) or _find_wrong_sum(content)
    if wrong:
        raise BackendError(f"{path} is damaged ({wrong}); record it again.")

    return SidecarContent(
        tuple(_turn(entry) for entry in content["turns"]),
        content.get("servers") or {},
        tuple(content.get("calls") or ()),
    )


def read_kept_file(folder: Path, name: str) -> bytes:
    """A file that a recording in the folder names; raises DataError where it is not
    there, or not what was recorded.
    """
    if not KEPT_FILE.fullmatch(name):
        raise DataError(f"{name[:40]!r} is no file of a recording")

    path = folder / TABLES / name
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{TABLES}/{name} cannot be read ({error.strerror}): copy the folder "
            f"{TABLES} with the notebook"
        ) from None

    if hashlib.sha256(content).hexdigest()[:16] != name.partition(".")[0]:
        raise DataError(f"{TABLES}/{name} is not as it was recorded")
    return content


# git writes these at the beginning of lines
_CONFLICT = re.compile(r"^(?:<{7} |>{7} |={7}$)", re.MULTILINE)


def sum_of(entry: Mapping[str, Any]) -> str:
    """The sum over all of an entry but its sum: what was edited is no recording."""
    rest = {name: value for name, value in entry.items() if name != "sum"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _find_wrong_sum(content: dict[str, Any]) -> str:
    """The first entry that is not what was written; of the first version none can tell."""
    entries = [(f"turns[{i}]", turn) for i, turn in enumerate(content["turns"])]
    entries += [(f"calls[{i}]", c) for i, c in enumerate(content.get("calls") or ())]
    servers = content.get("servers") or {}
    entries += [(f"servers.{name}", server) for name, server in servers.items()]
    for place, entry in entries:
        if "sum" not in entry and content["version"] == 1:
            continue
        if entry.get("sum") != sum_of(entry):
            return f"{place} is not as it was recorded"

    return ""


class Maybe:
    """A field that may be missing or null."""

    def __init__(self, kind: Any) -> None:
        self.kind = kind


_TEXTS = [str]
_HASHES = {"": str}  # any name
BLOCK_SHAPE = {
    "type": str,
    "text": Maybe(str),
    "id": Maybe(str),
    "name": Maybe(str),
    "input": Maybe({"": object}),
    "thinking": Maybe(str),
    "signature": Maybe(str),
}
_USAGE = {
    # a local server may count nothing
    "input_tokens": Maybe(int),
    "output_tokens": Maybe(int),
    "cache_read_input_tokens": Maybe(int),
    "cache_creation_input_tokens": Maybe(int),
}
_REPLY = {
    "id": str,
    "type": str,
    "role": str,
    "model": str,
    "content": [BLOCK_SHAPE],
    "stop_reason": str,
    "stop_sequence": Maybe(str),
    "usage": _USAGE,
}
_TRACE = {
    "rows": int,
    "columns": _HASHES,
    "hidden": _TEXTS,
    "key": str,
    "keys": str,
    "marks": str,
    "values": str,
    "whole": str,
}
# The shape that is relied on; docs/recordings.schema.json publishes the same
# (`python -m tests.reference`). Hand edits and merges happen to a file that stands beside
# a notebook under version control.
_TURN = {
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
    "results": [
        {
            "call": str,
            "digest": str,
            "error": bool,
            "text": str,
            "tables": Maybe([_TRACE]),
        }
    ],
    "replies": [_REPLY],
    "sum": Maybe(str),
}
_TABLE = {
    "columns": [_TEXTS],  # name and type each
    "rows": Maybe([[object]]),
    "file": Maybe(str),  # in `TABLES`, where the rows are not here
    "names": _TEXTS,  # as the server sent them
    "types": _HASHES,
    "notes": _TEXTS,
    "truncated": str,
    "total_rows": Maybe(int),
    "approximate": bool,
    "reader": str,
    "masked": _TEXTS,
}
_CALL = {
    "key": str,
    "server": str,
    "tool": str,
    "arguments": {"": object},
    "times": int,  # it was made one after the other, with the same result
    "failure": Maybe(str),  # of the session; then nothing else came
    "error": Maybe(str),  # what the tool said
    "text": str,
    "reader": str,
    "confidence": str,
    "rejected": [_TEXTS],
    "notes": _TEXTS,
    "warnings": _TEXTS,
    "images": [_TEXTS],  # type and base64 each
    "files": [_HASHES],
    "value": Maybe(
        _HASHES
    ),  # its JSON, here (`json`) or in a file of `TABLES` (`file`)
    "meta": {"": object},
    "bytes": int,
    "tables": [_TABLE],
    "sum": Maybe(str),
}
_SERVER = {
    "title": str,
    "instructions": str,
    "trusted": bool,
    "tools": [{"": object}],
    "sum": Maybe(str),
}
FILE_SHAPE = {
    "turns": [_TURN],
    "servers": Maybe({"": _SERVER}),
    "calls": Maybe([_CALL]),
}
# what a block of a kind must have to be sent on
FIELDS_OF_BLOCKS = {"text": ("text",), "tool_use": ("id", "name", "input")}


def _find_damage(value: Any, place: str, shape: Any) -> str:
    """Where a value has not the shape, in words; empty where it has."""
    if isinstance(shape, Maybe):
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
    if shape is BLOCK_SHAPE:
        required = FIELDS_OF_BLOCKS.get(str(value.get("type")), ())
        shape = {**shape, **{name: _take_field(shape[name]) for name in required}}

    found = (
        _find_damage(value.get(name), f"{place}.{name}".lstrip("."), kind)
        for name, kind in shape.items()
    )
    return next(filter(None, found), "")


def _take_field(kind: Any) -> Any:
    return kind.kind if isinstance(kind, Maybe) else kind


def save(
    path: Path,
    turns: Iterable[Turn],
    *,
    servers: Mapping[str, Mapping[str, Any]] | None = None,
    calls: Iterable[Mapping[str, Any]] = (),
) -> None:
    """Write the file in one step (a reader sees the old or the new one); secrets are
    masked, and each entry gets its sum.
    """
    entries = [dataclasses.asdict(turn) for turn in turns]
    for turn in entries:
        turn["replies"] = [_without_secrets(reply) for reply in turn["replies"]]

    content: dict[str, Any] = {"turns": entries}
    if servers or calls:
        content["servers"] = {name: dict(one) for name, one in (servers or {}).items()}
        content["calls"] = [dict(call) for call in calls]

    kept = sendable(mask_json(content))
    for entry in (*kept["turns"], *kept.get("calls", ())):
        entry["sum"] = sum_of(entry)
    for entry in kept.get("servers", {}).values():
        entry["sum"] = sum_of(entry)

    head = {"format": FORMAT, "version": VERSION, "about": ABOUT}
    write_whole(Path(path), _write_lines({**head, **kept}).encode())


def _write_lines(content: dict[str, Any]) -> str:
    """JSON of one value a line; a row of a table is one line, so that a diff shows rows."""
    rows: list[str] = []

    def take_out(table: dict[str, Any]) -> dict[str, Any]:
        if not table.get("rows"):
            return table

        first = len(rows)
        rows.extend(json.dumps(row, ensure_ascii=False) for row in table["rows"])
        places = [f"{_ROW}{at}" for at in range(first, len(rows))]
        return {**table, "rows": places}

    calls = [
        {**call, "tables": [take_out(table) for table in call["tables"]]}
        for call in content.get("calls", ())
    ]
    if calls:
        content = {**content, "calls": calls}

    text = json.dumps(content, ensure_ascii=False, indent=1)
    return re.sub(rf'"{_ROW}(\d+)"', lambda at: rows[int(at[1])], text) + "\n"


# Stands for a row while the rest is written: half a character, which no text of a
# recording holds (`sendable`).
_ROW = "\udc00row "


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
    """One difference. `recorded` and `live` are texts: of a result, or names; `changes`:
    what is different in a result's tables, a phrase each. `str()` is the sentence to
    show, `lines` the same with a line for each change.
    """

    kind: Literal["result", "setup", "place", "file"]
    # the tool call, what of the setup differs, or which file answers
    call: str
    recorded: str
    live: str
    changes: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.kind == "file":
            return self.live
        if self.kind == "place":
            return f"This answer was recorded {self.call}: {self.live}."
        if self.kind == "setup":
            return f"Recorded with {self.call}: {self.live}."
        if self.changes:
            return f"{self._other_result}: {'; '.join(self.changes)}."

        sides = f"recorded: {_short(self.recorded)} | now: {_short(self.live)}"
        return f"{self._other_result}; {sides}"

    @property
    def _other_result(self) -> str:
        call = _short(self.call)
        return f"The recorded answer was written for another result of {call}"

    def lines(self) -> list[str]:
        """The sentence, of tables with a line for each kind of change."""
        if len(self.changes) < 2:
            return [str(self)]
        return [f"{self._other_result}:", *self.changes]


# What is different in a result's tables, by what is recorded of it.
FindChanges = Callable[[Mapping[str, Any], Evidence], Sequence[str]]


def drift_of(
    turn: Turn,
    live: TurnFingerprint,
    known: Mapping[str, str],
    find_changes: FindChanges = lambda result, evidence: (),
) -> Iterator[Drift]:
    """What newly differs between the recorded turn and the live request; `known` is
    {digest: recorded text}.

    Each turn tells of the results that came with its last message, a cell's first turn
    of prompt and tools: so that a difference is told once, where it matters, however
    long the conversation is. Rows that are in no preview are looked at, too.
    """
    if not live.news:
        yield from _setup_drift(turn.setup, live.setup)

    pairs = list(zip(turn.evidence, live.evidence, strict=False))
    news = pairs[len(pairs) - live.news :]
    for at, (digest, evidence) in enumerate(news):
        of_turn = len(turn.results) == len(news)
        changes = find_changes(turn.results[at], evidence) if of_turn else ()
        if changes or digest != evidence.digest:
            text = known.get(digest, "(text not recorded)")
            yield Drift("result", evidence.call, text, evidence.text, tuple(changes))


def result_texts(
    evidence: tuple[Evidence, ...],
    news: int,
    limit: int,
    traces: Callable[[Evidence], list[dict[str, Any]]] = lambda one: [],
) -> list[dict[str, object]]:
    """What to keep of the results that came with the last message, each text masked,
    then cut at `limit` characters, and the traces of its tables.
    """
    newest = evidence[len(evidence) - news :]
    return [
        {
            "call": e.call,
            "digest": e.digest,
            "error": e.error,
            "text": _cut(mask(e.text), limit),
            "tables": traces(e),
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
