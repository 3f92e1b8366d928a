"""Pictures as the Messages API takes them: told by their bytes, not by what is said of
them; else a line of text that says what came.

https://platform.claude.com/docs/en/build-with-claude/vision: four kinds, 5 MB each, at
most 8,000 pixels a side, 100 pictures and 32 MB in a request.
"""

from __future__ import annotations

import base64
import importlib
import importlib.util
import io
import re
from collections.abc import Callable, Iterable
from typing import Any

from mcp_notebook.results import bounds
from mcp_notebook.results.content import clean_svg, svg_sides

Block = dict[str, Any]
# How a block about a thing that the question names begins; replay/keys.py knows it.
NAMED = "Named in the question"
_INCHES = 15.0  # of a figure's longer side at 100 dots an inch: what the service keeps

LARGEST = 5 * 1024 * 1024  # characters of base64, as the service counts
MOST_PIXELS = 8000  # of a side
# Of a picture that has to be converted: what a small file can unpack to.
_MOST_DECODED = 40_000_000
_DATA_URL = re.compile(r"data:([\w.+/-]*)(?:;[\w.=+-]+)*,", re.IGNORECASE)
_SPACES = re.compile(r"\s+")
# What Pillow reads that the API does not, by the first bytes.
_CONVERTED = ((b"BM", "BMP"), (b"II*\0", "TIFF"), (b"MM\0*", "TIFF"))


def picture_block(kind: str, data: str) -> Block:
    """The block for a picture of base64 that its server calls `kind`: of what it really
    is, converted where that can be done, or a text in its place.
    """
    raw = _decode(data)
    if not raw:
        size = len(data.strip())
        return _instead(f"no picture but {size:,} characters, sent as {kind[:60]}")

    found = kind_of(raw)
    if found and fits(raw):
        return _block(found, raw)

    converted = _convert(raw)
    if converted:
        return _block("image/png", converted)
    if found:
        return _instead(f"a picture of {len(raw):,} bytes, too large for the model")

    return _instead(
        f"a picture of {len(raw):,} bytes of a kind that the model does not take "
        f"({kind[:60]})"
    )


def kind_of(raw: bytes) -> str:
    """The media type of bytes that the API takes, else an empty string."""
    if raw.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if raw.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if raw.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if raw[:4] == b"RIFF" and raw[8:12] == b"WEBP":
        return "image/webp"

    return ""


def fits(raw: bytes) -> bool:
    """Whether the API takes a picture of that many bytes and pixels, as far as its
    first bytes tell.
    """
    if 4 * ((len(raw) + 2) // 3) > LARGEST:
        return False
    sides = bounds.picture_sides(raw)
    return sides is None or max(sides[:2]) <= MOST_PIXELS


def _block(kind: str, raw: bytes) -> Block:
    data = base64.b64encode(raw).decode()
    source = {"type": "base64", "media_type": kind, "data": data}
    return {"type": "image", "source": source}


def _instead(words: str) -> Block:
    return {"type": "text", "text": f"[{words}]"}


def _decode(data: str) -> bytes:
    """The bytes of base64 as servers write it: in a data URL, with line ends, in the
    alphabet for URLs, without its padding; empty when it is something else.
    """
    text = data
    url = _DATA_URL.match(data)
    if url is not None:
        text = data[url.end() :]

    text = _SPACES.sub("", text).rstrip("=").translate(str.maketrans("-_", "+/"))
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return b""


def _convert(raw: bytes) -> bytes:
    """The same picture as a PNG that fits, where Pillow is installed and can; else nothing."""
    named = [name for start, name in _CONVERTED if raw.startswith(start)]
    known = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP"}
    named += [name for kind, name in known.items() if kind == kind_of(raw)]
    if bounds.refuse_picture(raw):
        return b""
    if not named or importlib.util.find_spec("PIL") is None:
        return b""

    from PIL import Image  # only for an odd picture

    try:
        with Image.open(io.BytesIO(raw), formats=named) as picture:
            if picture.width * picture.height > _MOST_DECODED:
                return b""

            smaller = picture.convert("RGBA" if "A" in picture.getbands() else "RGB")
            # What the service would make it smaller to anyway.
            smaller.thumbnail((1568, 1568))
            out = io.BytesIO()
            smaller.save(out, "PNG")
    except Exception:  # boundary: a picture can be broken in any way
        return b""

    made = out.getvalue()
    return made if fits(made) else b""


# A drawing that a model is shown: what takes the engine some tenths of a second.
_MOST_SVG = 1_000_000  # bytes
_MOST_SVG_PARTS = 20_000
_KEPT_SIDE = 1568.0  # pixels of the longer side that the service keeps
_UNSIZED = (800.0, 600.0)


def draw_svgs(
    images: Iterable[tuple[str, str]], change: Callable[[str], str]
) -> tuple[tuple[str, str], ...]:
    """Pictures of (type, base64) with those in SVG drawn as PNG, where the extra
    `charts` can; `change` hides in their words what a model must not see. Others, and
    what is too large, stay as they are.
    """
    return tuple(_draw_svg(kind, data, change) for kind, data in images)


def _draw_svg(kind: str, data: str, change: Callable[[str], str]) -> tuple[str, str]:
    raw = _decode(data) if "svg" in kind.lower() else b""
    if not raw or len(raw) > _MOST_SVG:
        return kind, data

    text = raw.decode("utf-8", "replace")
    width, height = svg_sides(text) or _UNSIZED
    scale = min(_KEPT_SIDE / max(width, height), 2.0)
    sides = max(width * scale, 1.0), max(height * scale, 1.0)
    if "viewBox" not in text:
        # without one the size does not scale what is drawn
        sides = min(width, _KEPT_SIDE), min(height, _KEPT_SIDE)

    clean = clean_svg(text, change, most=_MOST_SVG_PARTS, sides=sides)
    if clean is None:
        return kind, data

    # loads pyarrow, which came with the result; a question needs neither
    drawing = importlib.import_module("mcp_notebook.charts.drawing")
    made = drawing.rasterize_svg(clean.decode())
    if not made or not fits(made):
        return kind, data

    return "image/png", base64.b64encode(made).decode()


def document_block(raw: bytes, name: str) -> Block:
    """The block for a PDF."""
    data = base64.b64encode(raw).decode()
    source = {"type": "base64", "media_type": "application/pdf", "data": data}
    return {
        "type": "document",
        "source": source,
        "title": name[:200],
        # what the answer takes from it becomes a footnote
        "citations": {"enabled": True},
    }


def is_picture(raw: bytes) -> bool:
    """Whether the bytes are a picture that the API takes, or one that can be converted."""
    return bool(kind_of(raw)) or raw.startswith(tuple(start for start, _ in _CONVERTED))


# What other libraries draw, told by their classes: none of them is imported here, the
# person's own draws.


def is_drawable(value: Any) -> bool:
    """Whether a value is a figure, a chart or a picture."""
    return _drawing_of(value) is not None


def draw(value: Any) -> bytes:
    """A figure, chart or picture as a PNG or JPEG; raises whatever its library raises."""
    drawing = _drawing_of(value)
    if drawing is None:
        raise TypeError(f"{type(value).__name__} is no picture")

    made = drawing()
    if isinstance(made, tuple):  # with metadata, as IPython's pictures
        made = made[0]
    if isinstance(made, str):
        made = base64.b64decode(made)
    if not isinstance(made, bytes) or not made:
        raise ValueError("it gave no PNG")

    return made


def drawing_help(value: Any) -> str:
    """A sentence on what the library of a value needs to draw a PNG."""
    packages = _packages(value)
    if "plotly" in packages:
        return "Plotly needs the package kaleido and a Chrome for it."
    if "altair" in packages:
        return "Altair needs the package vl-convert-python for it."

    return "Name a file with the picture instead: @./figure.png."


def _packages(value: Any) -> set[str]:
    return {base.__module__.partition(".")[0] for base in type(value).__mro__}


def _drawing_of(value: Any) -> Callable[[], Any] | None:
    """What draws a value. Methods are looked up in its class: objects that answer to
    every name (columns of Spark, mocks) are no pictures.
    """
    kind, packages = type(value), _packages(value)
    if isinstance(value, type):
        return None
    if hasattr(kind, "savefig"):
        return lambda: _save_figure(value)
    if "matplotlib" in packages and hasattr(value, "figure"):
        return lambda: _save_figure(value.figure)
    if packages == {"numpy", "builtins"} and _is_of_axes(value):
        return lambda: _save_figure(value.flat[0].figure)
    if "plotly" in packages and hasattr(kind, "to_image"):
        return lambda: value.to_image(format="png")
    if packages & {"altair", "PIL"} and hasattr(kind, "save"):
        return lambda: _save(value, "png")
    if "plotnine" in packages and hasattr(kind, "draw"):
        return lambda: _save_figure(value.draw())
    if hasattr(kind, "_repr_png_"):
        return lambda: value._repr_png_() or getattr(value, "data", b"")

    return None


def _is_of_axes(value: Any) -> bool:
    """An array of axes, as `plt.subplots(2, 2)` gives it."""
    return (
        str(getattr(value, "dtype", "")) == "object"
        and value.size > 0
        and "matplotlib" in _packages(value.flat[0])
    )


def _save_figure(figure: Any) -> bytes:
    root = getattr(figure, "figure", None) or figure  # of a grid, a part of a figure
    sides = getattr(root, "get_size_inches", lambda: (_INCHES,))()
    out = io.BytesIO()
    dots = min(100.0, 100 * _INCHES / max(sides))
    figure.savefig(out, format="png", dpi=dots, bbox_inches="tight")
    return out.getvalue()


def _save(value: Any, form: str) -> bytes:
    out = io.BytesIO()
    value.save(out, format=form)
    return out.getvalue()
