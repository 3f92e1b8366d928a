"""What foreign bytes may cost: one list of limits for every binary format, read from
what a file declares before anything of it is decoded.

A file may be small and its content large: packed zeros, one long text that a thousand
rows point to, a count of rows that no byte stands for, a picture of one colour.
"""

from __future__ import annotations

import contextlib
import io
import re
import struct
import time
import zipfile
from collections.abc import Iterator
from contextvars import ContextVar

MAX_CELLS = 100_000_000
# A kernel has this to spare for any file; above it the file itself must be large too.
FREE_BYTES = 192_000_000
# Packed columns of real tables are seldom smaller than a fiftieth.
PACKED = 50
# What becomes no more than this by every size it declares is decoded in the kernel: it
# can do no harm there, and a process of its own would cost more than the reading.
SMALL_BYTES = 16_000_000
# Four bytes each when drawn, of all frames: twice the largest sensors, and no more than
# a browser can hold.
MAX_PIXELS = 100_000_000
_MOST_FRAMES = 5_000


class Refused(str):
    """Why bytes are not read, and what to do: a sentence that the person is shown."""

    __slots__ = ()


def most_bytes(packed: int) -> int:
    """How much a file of so many bytes may become."""
    return max(FREE_BYTES, PACKED * packed)


def refuse_cells(cells: int) -> Refused | None:
    """The refusal of more cells than the limit; None for fewer."""
    if cells <= MAX_CELLS:
        return None
    return refuse(f"{cells:,} cells are more than the limit of {MAX_CELLS:,}")


def refuse_bytes(decoded: int, packed: int) -> Refused | None:
    """The refusal of a file that becomes much larger than itself; None for others."""
    most = most_bytes(packed)
    if decoded <= most:
        return None
    return refuse(
        f"its {packed / 1e6:,.3f} MB become {decoded / 1e6:,.0f} MB, more than the "
        f"limit of {most / 1e6:,.0f} MB"
    )


def refuse(why: str) -> Refused:
    """A refusal for that reason, with what to do."""
    return Refused(
        f"not read: {why}; ask for fewer rows or columns, or open the file with a "
        "library of its format"
    )


# ---- time: what the reading of one text may take


# Of the thread's own CPU, so that a busy machine cuts nothing.
_FREE_SECONDS = 2.0
# Ten times what large results in the usual formats take.
_SECONDS_A_BYTE = 3e-7
_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


class TooSlow(Exception):
    """A text that takes too long to be read as a table; says what is shown instead."""


@contextlib.contextmanager
def limit_time(size: int) -> Iterator[None]:
    """Lets `check_time` raise `TooSlow` inside, when the reading of `size` bytes takes
    longer than it may.
    """
    seconds = max(_FREE_SECONDS, size * _SECONDS_A_BYTE)
    token = _deadline.set(time.thread_time() + seconds)
    try:
        yield
    except TooSlow as slow:
        raise TooSlow(
            f"shown as text: to look for tables in it takes more than {seconds:.0f} s; "
            "ask for fewer rows, or for JSON or CSV"
        ) from slow
    finally:
        _deadline.reset(token)


def check_time() -> None:
    """Ends a reading that takes too long; loops that a text can make long ask it."""
    deadline = _deadline.get()
    if deadline is not None and time.thread_time() > deadline:
        raise TooSlow


# ---- archives: the sizes in the list at their end

_MOST_PARTS = 20_000


def refuse_archive(data: bytes) -> Refused | None:
    """The refusal of a ZIP by what its parts declare to become; one that is broken or
    lies is for the process that unpacks it.
    """
    parts = data.count(b"PK\1\2")
    if parts > _MOST_PARTS:
        return refuse(f"it has more than {_MOST_PARTS:,} parts")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            unpacked = sum(part.file_size for part in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error):
        return None
    return refuse_bytes(unpacked, len(data))


# ---- pictures: the sides that stand in their first bytes, without decoding


def refuse_picture(raw: bytes) -> Refused | None:
    """The refusal of a picture by the pixels it declares; None for one that may be
    drawn, and for what is no picture of a known kind.
    """
    sides = picture_sides(raw)
    if sides is None:
        return None

    width, height, frames = sides
    pixels = width * height * frames
    if pixels <= MAX_PIXELS:
        return None

    many = f" in {frames:,} frames" if frames > 1 else ""
    return Refused(
        f"not drawn: {width:,} by {height:,} pixels{many} are more than the limit of "
        f"{MAX_PIXELS:,}; ask for a smaller picture"
    )


def picture_sides(raw: bytes) -> tuple[int, int, int] | None:
    """Width, height and frames of PNG, JPEG, GIF, WebP, BMP or TIFF as declared; None
    for other bytes and for a header that is cut.
    """
    try:
        for start, measure in _MEASURES:
            if raw.startswith(start):
                return measure(raw)
    except struct.error:
        return None
    return None


def _measure_png(raw: bytes) -> tuple[int, int, int]:
    width, height = struct.unpack_from(">II", raw, 16)
    # an animation says so before its first data
    at = raw.find(b"acTL", 24, 4096)
    frames = struct.unpack_from(">I", raw, at + 4)[0] if at > 0 else 1
    return width, height, max(frames, 1)


_GIF_EXTENSION, _GIF_FRAME, _GIF_END = 0x21, 0x2C, 0x3B


def _measure_gif(raw: bytes) -> tuple[int, int, int]:
    """The largest of the screen and its frames, since what draws it makes room for one
    that is larger than the screen.
    """
    width, height, flags = struct.unpack_from("<HHB", raw, 6)
    at, frames = 13 + _colour_bytes(flags), 0
    while at < len(raw) and raw[at] != _GIF_END:
        if raw[at] == _GIF_FRAME:
            frames += 1
            left, top, wide, high, flags = struct.unpack_from("<HHHHB", raw, at + 1)
            width, height = max(width, left + wide), max(height, top + high)
            at = _skip_blocks(raw, at + 11 + _colour_bytes(flags))
        elif raw[at] == _GIF_EXTENSION:
            at = _skip_blocks(raw, at + 2)
        else:
            break  # where a frame must begin something else stands

    # each frame has a block of control; a false one needs these bytes amid its data
    return width, height, max(frames, raw.count(b"\x21\xf9\x04"), 1)


def _colour_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _skip_blocks(raw: bytes, at: int) -> int:
    """Where the blocks end that each begin with their length, the last with 0."""
    while at < len(raw) and raw[at]:
        at += raw[at] + 1

    return at + 1


def _measure_webp(raw: bytes) -> tuple[int, int, int] | None:
    kind = raw[8:16]
    if kind == b"WEBPVP8X":
        # three bytes a side, less one; the canvas that holds all frames
        width = int.from_bytes(raw[24:27], "little") + 1
        height = int.from_bytes(raw[27:30], "little") + 1
        return width, height, max(raw.count(b"ANMF"), 1)
    if kind == b"WEBPVP8L":
        (bits,) = struct.unpack_from("<I", raw, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, 1
    if kind == b"WEBPVP8 ":
        width, height = struct.unpack_from("<HH", raw, 26)
        return width & 0x3FFF, height & 0x3FFF, 1
    return None


def _measure_bmp(raw: bytes) -> tuple[int, int, int]:
    width, height = struct.unpack_from("<ii", raw, 18)
    # a negative height says that the rows go down
    return abs(width), abs(height), 1


# markers that begin a frame; those between (C4, C8, CC) are tables
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # marks without a length


_JPEG_MARK = re.compile(rb"\xff([\x01-\xfe])")
_MOST_MARKS = 10_000  # before the size; a camera writes a dozen
_JPEG_LARGEST = 65_535


def _measure_jpeg(raw: bytes) -> tuple[int, int, int] | None:
    at = 2
    for _ in range(_MOST_MARKS):
        # what draws it skips all that stands before a mark, and so must this
        mark = _JPEG_MARK.search(raw, at)
        if mark is None:
            return None

        kind, at = mark[1][0], mark.end()
        if kind in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", raw, at + 3)
            return width, height, 1
        if kind not in _JPEG_ALONE:
            (length,) = struct.unpack_from(">H", raw, at)
            at += length

    return _JPEG_LARGEST, _JPEG_LARGEST, 1


_WIDTH, _HEIGHT = 256, 257
_SHORT = 3


def _measure_tiff(raw: bytes) -> tuple[int, int, int]:
    """The largest of its pages, and how many there are."""
    order = "<" if raw[:2] == b"II" else ">"
    (at,) = struct.unpack_from(f"{order}I", raw, 4)
    width = height = frames = 0
    # pages point to the next, and may do so in a circle
    while at and frames < _MOST_FRAMES:
        frames += 1
        (count,) = struct.unpack_from(f"{order}H", raw, at)
        for number in range(min(count, 32)):
            entry = at + 2 + 12 * number
            tag, kind = struct.unpack_from(f"{order}HH", raw, entry)
            form = f"{order}H" if kind == _SHORT else f"{order}I"
            (value,) = struct.unpack_from(form, raw, entry + 8)
            width = max(width, value if tag == _WIDTH else 0)
            height = max(height, value if tag == _HEIGHT else 0)
        (at,) = struct.unpack_from(f"{order}I", raw, at + 2 + 12 * count)
    return width, height, frames


_MEASURES = (
    (b"\x89PNG\r\n\x1a\n", _measure_png),
    (b"\xff\xd8\xff", _measure_jpeg),
    ((b"GIF87a", b"GIF89a"), _measure_gif),
    (b"RIFF", _measure_webp),
    (b"BM", _measure_bmp),
    ((b"II*\0", b"MM\0*"), _measure_tiff),
)
