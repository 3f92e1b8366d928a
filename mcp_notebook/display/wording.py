"""Small words: durations, sizes, marks, what a status is called, and the quiet lines of a
cell that say what answered, what it took, and why it stopped.
"""

from __future__ import annotations

import re

from mcp_notebook.display.call_view import CallView
from mcp_notebook.display.shown_table import count_of
from mcp_notebook.events import Footer, Stop
from mcp_notebook.untrusted_text import clip, visible

_APPROXIMATE = "names, rows or values may differ from what the server had"
_UNITS = ("B", "kB", "MB", "GB")
ASIDE = 240  # characters of a text beside tables that are read without asking
MARKS = {
    "approval": "?",
    "running": "◌",
    "ok": "✓",
    "error": "✕",
    "denied": "⊘",
    "cancelled": "⊘",
}
LABELS = {
    "approval": "waits for your answer",
    "running": "running",
    "ok": "done",
    "error": "error",
    "denied": "denied",
    "cancelled": "cancelled",
}


def duration(seconds: float) -> str:
    """`80 ms`, `1.4 s`, `2 min 05 s`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    return f"{round(seconds) // 60} min {round(seconds) % 60:02d} s"


def byte_size(count: int) -> str:
    """`812 B`, `1.2 kB`, `48 kB`, `3.1 MB`, in powers of 1000."""
    if count < 1000:
        return f"{count} B"

    value, power = count / 1000, 1
    while power < 3 and value >= 999.5:
        power += 1
        value = count / 1000**power

    if value < 9.95:
        number = f"{value:.1f}"
    else:
        number = f"{value:.0f}"

    return f"{number} {_UNITS[power]}"


def outcome(record: CallView) -> str:
    """What the header says at its right: the shape of the first table, or the status
    when it is not plain success.
    """
    if record.status != "ok":
        return LABELS[record.status]

    if record.tables:
        first, *others = record.tables
        if others:
            return f"{first.shape} and {len(others)} more"

        return first.shape

    if record.images:
        return count_of(len(record.images), "image")

    return ""


def took(record: CallView) -> str:
    """How long the call ran, "" when it did not."""
    if record.seconds is None or record.status == "denied":
        return ""
    return duration(record.seconds)


def badges(truncated: str, approximate: bool) -> list[tuple[str, str]]:
    """(label, explanation) of what a table is not."""
    found = []
    if truncated:
        found.append(("cut by the server", truncated))

    if approximate:
        found.append(("approximate", _APPROXIMATE))

    return found


def seen_by_claude(record: CallView) -> str:
    """`612 B of 48 kB`: how much of what was received went to Claude."""
    size = len(record.shown.encode(errors="replace"))
    if not record.received_bytes:
        return byte_size(size)
    # of a small table its description is longer than the table itself
    if size > record.received_bytes:
        return f"{byte_size(record.received_bytes)}, described in {byte_size(size)}"
    return f"{byte_size(size)} of {byte_size(record.received_bytes)}"


def text_label(record: CallView) -> str:
    """What a long text besides tables is folded under; "" for one that stands open."""
    if not record.tables or len(record.plain) <= ASIDE:
        return ""
    return f"What the tool said besides · {byte_size(len(record.plain.encode(errors='replace')))}"


def missing_image(mime: str, data: str) -> str:
    """What stands in the place of an image that is not shown."""
    kind = f"{clip(visible(mime), 40)}, {byte_size(len(data) * 3 // 4)}"
    return f"An image ({kind}) is not shown: only whole PNG, JPEG, GIF, WebP and SVG images are."


_STOPS = {
    "limit": "Stopped at a limit",
    "interrupted": "Stopped by you",
    "refused": "Claude declined to go on",
    "error": "Stopped by an error",
}


def footer_line(footer: Footer) -> str:
    """`claude-sonnet-5-5 · live · 3 calls · 12.3k tokens in (8.0k cached), 512 out ·
    $0.012 · 8.4 s · 1.2 MB kept …`
    """
    pieces = [_short_hashes(footer.backend), _calls(footer), _tokens(footer)]
    if footer.dollars:  # nothing is said where nothing is paid: a local model, a replay
        pieces.append(dollars(footer.dollars))

    if footer.seconds:
        pieces.append(duration(footer.seconds))

    if footer.kept_bytes:
        pieces.append(f"{byte_size(footer.kept_bytes)} kept out of the model")

    return " · ".join(piece for piece in (*pieces, *footer.notes) if piece)


def stop_line(stop: Stop) -> str:
    """Why the cell ended before Claude was done; "" when it was done."""
    if stop.reason == "done":
        return stop.message

    opening = _STOPS[stop.reason]
    if stop.message:
        return f"{opening}: {stop.message}"

    return f"{opening}."


def dollars(amount: float) -> str:
    """Two figures that count: `$0.0042`, `$0.13`, `$2.40`."""
    if amount == 0:
        return "$0"
    if amount < 0.0001:
        return "less than $0.0001"
    if amount < 0.01:
        return f"${amount:.4f}"
    if amount < 0.1:
        return f"${amount:.3f}"

    return f"${amount:.2f}"


def _short_hashes(text: str) -> str:
    """A checksum by its first twelve digits; the recording holds it whole."""
    return re.sub(r"\b([0-9a-f]{12})[0-9a-f]{20,}\b", r"\1…", text)


def _calls(footer: Footer) -> str:
    if footer.calls:
        return count_of(footer.calls, "call")
    return ""


def _tokens(footer: Footer) -> str:
    read = footer.input_tokens + footer.cached_tokens
    if not read and not footer.output_tokens:
        return ""

    if footer.cached_tokens:
        cached = f" ({_count(footer.cached_tokens)} cached)"
    else:
        cached = ""

    return f"{_count(read)} tokens in{cached}, {_count(footer.output_tokens)} out"


def _count(number: int) -> str:
    if number < 10_000:
        return f"{number:,}"
    if number < 1_000_000:
        return f"{number / 1000:.1f}k"
    return f"{number / 1e6:.1f}M"
