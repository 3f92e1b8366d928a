"""Small words that every form of a card shares: durations, sizes, marks, what a status
is called.
"""

from mcp_notebook.display.record import CallRecord
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
    power = 1
    while power < 3 and count / 1000**power >= 999.5:
        power += 1
    value = count / 1000**power
    return (
        f"{value:.1f} {_UNITS[power]}"
        if value < 9.95
        else f"{value:.0f} {_UNITS[power]}"
    )


def outcome(record: CallRecord) -> str:
    """What the header says at its right: the shape of the first table, or the status
    when it is not plain success.
    """
    if record.status != "ok":
        return LABELS[record.status]
    if record.tables:
        first, *others = record.tables
        return first.shape + (f" and {len(others)} more" if others else "")
    images = len(record.images)
    return f"{images} image" + "s" * (images > 1) if images else ""


def took(record: CallRecord) -> str:
    """How long the call ran, "" when it did not."""
    return (
        ""
        if record.seconds is None or record.status == "denied"
        else duration(record.seconds)
    )


def badges(truncated: str, approximate: bool) -> list[tuple[str, str]]:
    """(label, explanation) of what a table is not."""
    found = [("cut by the server", truncated)] if truncated else []
    return (
        [
            *found,
            (
                "approximate",
                "names, rows or values may differ from what the server had",
            ),
        ]
        if approximate
        else found
    )


def seen_by_claude(record: CallRecord) -> str:
    """`612 B of 48 kB`: how much of what was received went to Claude."""
    shown = byte_size(len(record.shown.encode(errors="replace")))
    return (
        f"{shown} of {byte_size(record.received_bytes)}"
        if record.received_bytes
        else shown
    )


def text_label(record: CallRecord) -> str:
    """What a long text besides tables is folded under; "" for one that stands open."""
    if not record.tables or len(record.plain) <= ASIDE:
        return ""
    return f"What the tool said besides · {byte_size(len(record.plain.encode(errors='replace')))}"


def unshown(mime: str, data: str) -> str:
    """What stands in the place of an image that is not shown."""
    kind = f"{clip(visible(mime), 40)}, {byte_size(len(data) * 3 // 4)}"
    return f"An image ({kind}) is not shown: only whole PNG, JPEG, GIF and WebP images are."
