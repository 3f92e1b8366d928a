"""The quiet lines of a cell: what answered and what it took, and why it stopped."""

import re

from mcp_notebook.display.wording import byte_size, duration
from mcp_notebook.events import Footer, Stop

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
    return f"{opening}: {stop.message}" if stop.message else f"{opening}."


def dollars(amount: float) -> str:
    """Two figures that count: `$0.0042`, `$0.13`, `$2.40`."""
    if amount == 0:
        return "$0"
    if amount < 0.0001:
        return "less than $0.0001"
    return (
        f"${amount:.4f}"
        if amount < 0.01
        else f"${amount:.3f}"
        if amount < 0.1
        else f"${amount:.2f}"
    )


def _short_hashes(text: str) -> str:
    """A checksum by its first twelve digits; the recording holds it whole."""
    return re.sub(r"\b([0-9a-f]{12})[0-9a-f]{20,}\b", r"\1…", text)


def _calls(footer: Footer) -> str:
    if not footer.calls:
        return ""
    return f"{footer.calls} call" + "s" * (footer.calls != 1)


def _tokens(footer: Footer) -> str:
    read = footer.input_tokens + footer.cached_tokens
    if not read and not footer.output_tokens:
        return ""
    cached = f" ({_count(footer.cached_tokens)} cached)" if footer.cached_tokens else ""
    return f"{_count(read)} tokens in{cached}, {_count(footer.output_tokens)} out"


def _count(number: int) -> str:
    return (
        f"{number:,}"
        if number < 10_000
        else f"{number / 1000:.1f}k"
        if number < 1_000_000
        else f"{number / 1e6:.1f}M"
    )
