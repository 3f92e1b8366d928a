"""What a question names with `@`: looked up before anything is sent, made into what
Claude gets, and said to the person. Nothing of the notebook goes without being named.

| written | what goes |
|---|---|
| `@orders` a table | columns and types, no rows |
| `@limit` a value | its repr, bounded |
| `@clean` a function or class | its source |
| `@fig` a figure, chart or picture | a PNG |
| `@./plot.png`, `@"my file.pdf"` | the picture, the document, the text |
| `@shop.query`, `@shop` | that it is preferred |
| `@shop:data://orders.csv` | the resource |
| `@cell`, `@cell:-2`, `@cell:5` | the source of a code cell that ran |
| `@error` | the last traceback |
"""

from __future__ import annotations

import base64
import inspect
import itertools
import os
import re
import reprlib
import sys
import textwrap
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Literal

from mcp_notebook.agent import pictures
from mcp_notebook.agent.conversation import Block
from mcp_notebook.errors import ConfigError, near
from mcp_notebook.kinds import format_of, is_table
from mcp_notebook.notebook import resources
from mcp_notebook.notebook.state import Notebook
from mcp_notebook.policy.budgets import cut_text
from mcp_notebook.secrets import MASK, is_secret_name, seal, seal_text
from mcp_notebook.untrusted_text import clip, sendable, visible

if TYPE_CHECKING:
    from mcp_notebook.agent.toolset import Toolset

MOST_VALUE = 2_000  # bytes of a value's repr
MOST_SOURCE = 12_000  # bytes of a source, a cell, a text file
MOST_ERROR = 6_000  # bytes of a traceback
MOST_FILE = 10 * 1024 * 1024  # bytes: a request holds 32 MB, and base64 is a third more
MOST = 20  # things that one question may name
_ITEMS = 200  # of a list or dict, looked at
_CUT = "\n[cut: it is longer]"

_FENCE = re.compile(r"^[ \t]*(```+|~~~+).*?(?:^[ \t]*\1[`~]*[ \t]*$|\Z)", re.M | re.S)
_INLINE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)")
# A line of code that the person pasted without a fence.
_DECORATOR = re.compile(
    r"^[ \t]*@[^\n]*(?=\n[ \t]*(?:@|def |class |async def ))", re.MULTILINE
)
# Not inside an e-mail address (`me@here`), nor in a URL (`medium.com/@me`).
_MARK = re.compile(
    r"""(?<![\w.@/+%-])@(?:"([^"\n]+)"|'([^'\n]+)'|((?:\.{1,2}|~)?/[^\s"'`<>|]+)"""
    r"""|([^\W\d][\w-]*(?:[.:][^\s"'`<>]+)?))"""
)
_IDENTIFIER = re.compile(r"[^\W\d]\w*")
_CELL = re.compile(r"cell(?::(-?\d+))?")
# What begins with @ in style sheets, which are pasted as they are.
_STYLES = frozenset(
    "media import charset keyframes supports layer container page namespace property "
    "font-face counter-style font-feature-values".split()
)
_QUESTIONS = ("%%claude", "%claude")
_OWN_FRAMES = ("IPython", "ipykernel", "mcp_notebook")

Kind = Literal[
    "table", "value", "code", "picture", "file", "server", "tool", "cell", "error",
    "resource",
]  # fmt: skip


@dataclass(frozen=True)
class Named:
    """One thing that a question names. `target` is the variable's value, the file's
    path, the cell's number, (server, tool).
    """

    written: str  # without the @
    kind: Kind
    target: Any = None


@dataclass(frozen=True)
class Attached:
    """What goes to Claude for a thing, and what the person is told of it."""

    said: str
    blocks: tuple[Block, ...] = ()


def find_named(
    notebook: Notebook, prompt: str, *, strict: bool = True
) -> tuple[list[Named], list[str]]:
    """The things that a prompt names, each once, in order, and a sentence for each word
    that is no name and went as it stands.

    Raises ConfigError for an unknown name, with the near ones. Without `strict` (a
    prompt that a program made, perhaps of others' words) only where one is near, and
    files are those of the working folder.
    """
    found: dict[str, Named] = {}
    unknown: dict[str, None] = {}
    for word, is_path, is_quoted in _words(prompt):
        if is_path and not strict and not _is_inside(word):
            thing = None
        elif is_path:
            thing = _find_file(word) if not is_quoted or _is_file(word) else None
        else:
            thing = _find_word(notebook, word)

        if thing is not None:
            found.setdefault(thing.written, thing)
        elif not is_quoted:
            unknown[word] = None

    sentences = [_say_unknown(notebook, word, strict=strict) for word in unknown]
    if len(found) > MOST:
        raise ConfigError(f"A question names at most {MOST} things, not {len(found)}.")

    return list(found.values()), sentences


def without_code(prompt: str) -> str:
    """The prompt without its blocks of code: a decorator there is no name."""
    return _DECORATOR.sub(" ", _FENCE.sub(" ", prompt))


def _words(prompt: str) -> Iterator[tuple[str, bool, bool]]:
    """Each word behind an @, whether it is a path, and whether it stands in backticks,
    where an unknown one is meant as it stands.
    """
    text = without_code(prompt)
    spans = [match.span() for match in _INLINE.finditer(text)]
    for match in _MARK.finditer(text):
        in_code = any(start < match.start() < end for start, end in spans)
        quoted, single, path, word = match.groups()
        if word is not None:
            word = resources.trim_punctuation(word)
            # `@angular/core` is a package, `@media (…)` a style sheet
            is_other = text[match.end() :].startswith("/") or word in _STYLES
            yield word, False, in_code or is_other
        else:
            said = quoted or single or resources.trim_punctuation(path)
            yield said, True, in_code


def _find_word(notebook: Notebook, word: str) -> Named | None:
    space = notebook.shell.user_ns
    match = _IDENTIFIER.match(word)
    name = match[0] if match else ""
    if resources.mentions(f"@{word}", notebook.sessions.names()):
        return Named(word, "resource")

    cell = _CELL.fullmatch(word)
    if cell is not None and (cell[1] or "cell" not in space):
        return Named(word, "cell", int(cell[1] or -1))

    tool = _find_tool(notebook, word)
    if tool is not None:
        return tool
    if name in space and not _is_own(notebook, name):
        return _find_variable(name, space[name])
    if word in notebook.sessions.names():
        return Named(word, "server", (word, ""))
    if name == "error":
        return Named("error", "error")
    if "." in word and _is_inside(word):
        return Named(word, "file", Path(word))

    return None


def _is_own(notebook: Notebook, name: str) -> bool:
    """IPython's own names (`In`, `exit`), while they are what they were."""
    hidden = getattr(notebook.shell, "user_ns_hidden", {})
    return name in hidden and hidden[name] is notebook.shell.user_ns[name]


def _find_tool(notebook: Notebook, word: str) -> Named | None:
    for session in notebook.sessions:
        server, _, tool = word.rpartition(f"{session.name}.")
        if not server and tool and any(tool == t.name for t in session.tools):
            return Named(word, "tool", (session.name, tool))

    return None


def _find_variable(name: str, value: Any) -> Named:
    if isinstance(value, str | PurePath):
        # A path counts only while it is that of a file: any text may look like one.
        is_there = os.path.isfile(value)
        if is_there and format_of(str(value)):
            return Named(name, "table", value)
        if is_there and isinstance(value, PurePath):
            return Named(name, "file", Path(value))

        return Named(name, "value", value)

    if is_table(value):
        return Named(name, "table", value)
    if inspect.isroutine(value) or inspect.isclass(value):
        return Named(name, "code", value)
    if pictures.is_drawable(value):
        return Named(name, "picture", value)

    return Named(name, "value", value)


def _is_file(word: str) -> bool:
    try:
        return Path(word).expanduser().is_file()
    except (OSError, ValueError):
        return False


def _is_inside(word: str) -> bool:
    """Whether a path is that of a file in the working folder, links followed."""
    if not _is_file(word):
        return False

    return Path(word).expanduser().resolve().is_relative_to(Path.cwd().resolve())


def _find_file(word: str) -> Named:
    path = Path(word).expanduser()
    if not _is_file(word):
        folder = path.parent if path.parent.is_dir() else Path.cwd()
        close = near(path.name, [one.name for one in folder.iterdir()])
        guess = f" Did you mean {' or '.join(close)}?" if close else ""
        raise ConfigError(f"There is no file {word} in {Path.cwd()}.{guess}")

    return Named(word, "file", path)


def _say_unknown(notebook: Notebook, word: str, *, strict: bool) -> str:
    match = _IDENTIFIER.match(word)
    name = match[0] if match else word
    close = [f"@{one}" for one in near(name, known_names(notebook))]
    if ":" not in word:
        for session in notebook.sessions:
            tools = [f"{session.name}.{tool.name}" for tool in session.tools]
            close += [f"@{one}" for one in near(word, tools)] if "." in word else []

    if not close and not strict:
        return f"@{clip(word, 40)} is no name of this notebook: it went as it stands."

    guess = f" Did you mean {' or '.join(dict.fromkeys(close[:3]))}?" if close else ""
    raise ConfigError(
        f"There is no @{clip(visible(word), 80)} in this notebook, so nothing was sent."
        f"{guess} A word that is meant as it stands is written in backticks."
    )


def known_names(notebook: Notebook) -> list[str]:
    """What can stand behind an @, files, tools and resources apart."""
    own = [
        name
        for name, value in list(notebook.shell.user_ns.items())
        if not name.startswith("_")
        and not _is_own(notebook, name)
        and not inspect.ismodule(value)
    ]
    return [*own, *notebook.sessions.names(), "cell", "error"]


def attach(notebook: Notebook, thing: Named, toolset: Toolset) -> Attached:
    """What goes to Claude for a thing that is no table and no resource; takes as long
    as a drawing. Raises ConfigError where it cannot be told.
    """
    return _MAKERS[thing.kind](notebook, thing, toolset)


def _attach_table(notebook: Notebook, thing: Named, toolset: Toolset) -> Attached:
    # what is sent of it is written with the other tables
    columns = getattr(thing.target, "columns", None)
    try:
        count = f"{len(columns)} columns, " if columns is not None else ""
    except TypeError:
        count = ""

    return Attached(f"@{thing.written} ({count}names and types, no rows)")


def _attach_value(notebook: Notebook, thing: Named, toolset: Toolset) -> Attached:
    name, value = thing.written, thing.target
    words = _repr_of(notebook, name, value)
    if " object at 0x" in words:
        raise ConfigError(
            f"@{name} is of the type {type(value).__name__}, which tells nothing in words: "
            "name a table, a value, a function, a picture or a file."
        )

    shown = clip(" ".join(visible(words).split()), 60)
    return Attached(f"@{name} = {shown}", (_text(f"@{name} = {words}"),))


def _repr_of(notebook: Notebook, name: str, value: Any) -> str:
    """A value in words, bounded, without secrets and masked values."""
    veil = notebook.veil
    if is_secret_name(name) or veil.covers(name):
        return MASK

    if inspect.ismodule(value):
        return f"the module {value.__name__} {getattr(value, '__version__', '')}"

    if hasattr(type(value), "to_frame") and hasattr(value, "dtype"):
        return _preview(notebook, name, value)

    if isinstance(value, list | dict):
        value = veil.hide_json(seal(_first_items(value)))

    short = reprlib.Repr()
    short.maxlevel, short.maxlist, short.maxdict = 6, _ITEMS, _ITEMS
    short.maxtuple = short.maxset = short.maxfrozenset = short.maxarray = _ITEMS
    short.maxstring = short.maxother = short.maxlong = MOST_VALUE
    words = seal_text(veil.hide(short.repr(value)))
    return cut_text(words, MOST_VALUE, _CUT)


def _preview(notebook: Notebook, name: str, series: Any) -> str:
    """A column by itself (pandas, Polars) as a table of one column."""
    frame = series.to_frame()
    if hasattr(frame, "to_arrow"):
        frame = frame.to_arrow()

    shaping = notebook.make_shaping()
    preview = resources.load_preview()
    words = preview(frame, name, rows=shaping.rows, mask=shaping.mask)
    return f"a column, not a table for `query`\n{seal_text(notebook.veil.hide(words))}"


def _first_items(value: list[Any] | dict[Any, Any]) -> Any:
    if isinstance(value, dict):
        return dict(itertools.islice(value.items(), _ITEMS + 1))

    return value[: _ITEMS + 1]


def _attach_code(notebook: Notebook, thing: Named, toolset: Toolset) -> Attached:
    name, value = thing.written, thing.target
    source = _source_of(notebook, value)
    if not source:
        lines = (inspect.getdoc(value) or "").splitlines()[:1]
        words = f"{_signature_of(value)} {' '.join(lines)}".strip()
        return Attached(
            f"@{name} (no source; its signature)", (_text(f"@{name}: {words}"),)
        )

    count = f"{source.count(chr(10)) + 1} lines"
    block = _code(notebook, f"The source of @{name}", source)
    return Attached(f"@{name} (source, {count})", (block,))


def _source_of(notebook: Notebook, value: Any) -> str:
    try:
        return textwrap.dedent(inspect.getsource(inspect.unwrap(value))).strip()
    except (OSError, TypeError):
        pass

    # A class of a cell has no file for `inspect` before Python 3.13.
    pattern = re.compile(
        rf"^(?:@[^\n]*\n)*class {re.escape(value.__name__)}\b[^\n]*\n?(?:[ \t]+[^\n]*\n?|\n)*",
        re.MULTILINE,
    )
    for _, source in reversed(_cells(notebook)):
        match = pattern.search(source)
        if match and inspect.isclass(value) and value.__module__ == "__main__":
            return match[0].strip()

    return ""


def _signature_of(value: Any) -> str:
    try:
        return f"{value.__name__}{inspect.signature(value)}"
    except (ValueError, TypeError, AttributeError):
        return getattr(value, "__name__", type(value).__name__)


def _attach_picture(notebook: Notebook, thing: Named, toolset: Toolset) -> Attached:
    try:
        raw = pictures.draw(thing.target)
    except Exception as error:
        # boundary: another library's drawing can fail in any way
        what = type(thing.target).__name__
        first = " ".join(str(error).split())
        raise ConfigError(
            f"@{thing.written} ({what}) cannot be drawn: "
            f"{clip(seal_text(first), 200) or type(error).__name__}. "
            f"{pictures.drawing_help(thing.target)}"
        ) from None

    return _picture(thing.written, raw)


def _picture(name: str, raw: bytes) -> Attached:
    block = pictures.picture_block("image", base64.b64encode(raw).decode())
    if block["type"] != "image":
        raise ConfigError(f"@{name} cannot be sent: {block['text'].strip('[]')}.")

    size = f"{len(block['source']['data']) * 3 // 4:,} bytes"
    return Attached(
        f"@{name} (picture, {size})", (_text(f"@{name}, a picture:"), block)
    )


def _attach_file(notebook: Notebook, thing: Named, toolset: Toolset) -> Attached:
    name, path = thing.written, Path(thing.target)
    size = path.stat().st_size
    if size > MOST_FILE:
        raise ConfigError(
            f"@{name} has {size:,} bytes, and at most {MOST_FILE:,} can be sent: make it smaller."
        )

    raw = path.read_bytes()
    if raw.startswith(b"%PDF-"):
        block = pictures.document_block(raw, path.name)
        return Attached(
            f"@{name} (PDF, {size:,} bytes)", (_text(f"@{name}, a document:"), block)
        )

    if pictures.is_picture(raw):
        return _picture(name, raw)

    if format_of(path.name) and path.suffix.lower() not in (".txt", ".json"):
        raise ConfigError(
            f"@{name} is a data file: %mcp_share {name} makes it a table that Claude can query."
        )

    if b"\0" in raw:
        raise ConfigError(
            f"@{name} is neither a picture nor a PDF nor text, so it cannot be sent."
        )

    text = raw.decode("utf-8-sig", "replace")
    block = _code(notebook, f"The file @{name}", text)
    return Attached(f"@{name} (text, {size:,} bytes)", (block,))


def _attach_server(notebook: Notebook, thing: Named, toolset: Toolset) -> Attached:
    server, tool = thing.target
    of_it = [
        name
        for name, (session, info) in toolset.by_name.items()
        if session.name == server and tool in ("", info.name)
    ]
    if not of_it:
        raise ConfigError(f"@{thing.written} is none of the servers of this question.")

    what = f"the tool {of_it[0]}" if tool else f"the tools of the server {server}"
    words = f"the person prefers {what} for this question"
    return Attached(
        f"@{thing.written} (preferred)", (_text(f"@{thing.written}: {words}"),)
    )


def _cells(notebook: Notebook) -> list[tuple[int, str]]:
    """The code cells that ran, without the one that runs and without questions."""
    manager = getattr(notebook.shell, "history_manager", None)
    sources = list(getattr(manager, "input_hist_raw", ()))
    return [
        (number, source)
        for number, source in enumerate(sources[:-1])
        if source.strip() and not source.lstrip().startswith(_QUESTIONS)
    ]


def _attach_cell(notebook: Notebook, thing: Named, toolset: Toolset) -> Attached:
    cells = _cells(notebook)
    wanted = thing.target
    if wanted < 0:
        found = cells[wanted:][:1] if -wanted <= len(cells) else []
    else:
        found = [cell for cell in cells if cell[0] == wanted]

    if not found:
        numbers = f"In [{cells[0][0]}] to In [{cells[-1][0]}]" if cells else "none yet"
        raise ConfigError(
            f"There is no code cell @{thing.written}; those that ran: {numbers}. @cell is "
            "the last one, @cell:-2 the one before, @cell:5 In [5]."
        )

    ((number, source),) = found
    count = f"{source.strip().count(chr(10)) + 1} lines"
    block = _code(notebook, f"The cell In [{number}] (@{thing.written})", source)
    return Attached(f"@{thing.written} (In [{number}], {count})", (block,))


def _attach_error(notebook: Notebook, thing: Named, toolset: Toolset) -> Attached:
    error = getattr(sys, "last_value", None)
    if error is None:
        raise ConfigError(
            "There is no @error: no cell has failed in this notebook yet."
        )

    words = seal_text(notebook.veil.hide(_traceback_text(error)))
    # The end says what went wrong, the beginning where it began.
    if len(words.encode("utf-8", "replace")) > MOST_ERROR:
        head, tail = words[: MOST_ERROR // 4], words[-MOST_ERROR // 2 :]
        words = f"{head}\n[… cut …]\n{tail}"

    kind = type(error).__name__
    return Attached(
        f"@error ({kind}, {words.count(chr(10)) + 1} lines)",
        (_text(f"The last traceback (@error):\n```\n{words}\n```"),),
    )


def _traceback_text(error: BaseException) -> str:
    """The traceback as Python prints it, without the frames of those who ran the cell."""
    told = traceback.TracebackException.from_exception(error)
    own = [frame for frame in told.stack if not _is_machinery(frame.filename)]
    told.stack = traceback.StackSummary.from_list(own)
    return "".join(told.format()).strip()


def _is_machinery(filename: str) -> bool:
    parts = PurePath(filename).parts
    return "site-packages" in parts and any(name in parts for name in _OWN_FRAMES)


def _code(notebook: Notebook, title: str, source: str) -> Block:
    sealed = seal_text(notebook.veil.hide_values(source.strip()))
    kept = cut_text(sealed, MOST_SOURCE, _CUT)
    # longer than any fence inside
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", kept)), 3)
    return _text(f"{title}:\n{fence}\n{kept}\n{fence}")


def _text(words: str) -> Block:
    return {"type": "text", "text": sendable(f"{pictures.NAMED}: {words}")}


def _attach_resource(notebook: Notebook, thing: Named, toolset: Toolset) -> Attached:
    # read and attached as a call, beside this
    return Attached(f"@{thing.written}")


_MAKERS = {
    "table": _attach_table,
    "value": _attach_value,
    "code": _attach_code,
    "picture": _attach_picture,
    "file": _attach_file,
    "server": _attach_server,
    "tool": _attach_server,
    "cell": _attach_cell,
    "error": _attach_error,
    "resource": _attach_resource,
}
