"""A drawing as a list of shapes, and the same as an SVG image that needs nothing around it.

An image knows no theme, so its colours are middle ones that read on white and on black;
a live card gives the shapes the theme's own by their class.
"""

import base64
import html
from dataclasses import dataclass
from typing import Any, Literal

COLOURS = ("#3b86cc", "#e0783a", "#4c9f5e", "#b35fa2", "#b8931f", "#7a7fd6")
INK = "#7a7a7a"
FONT = 11  # pixels


@dataclass(frozen=True, slots=True)
class Shape:
    """One element. `look` names its colours: `grid`, `ink`, `line0` or `fill0` and up.
    `tip` is said at the mouse.
    """

    tag: Literal["path", "rect", "circle", "text"]
    at: dict[str, Any]
    look: str
    text: str = ""
    tip: str = ""


@dataclass(frozen=True, slots=True)
class Drawing:
    """Shapes on a canvas of `width` × `height` pixels. `alt` says in words what is to be seen."""

    title: str
    alt: str
    width: int
    height: int
    shapes: tuple[Shape, ...]
    code: str


def svg(drawing: Drawing) -> str:
    """The drawing as a `data:` URL of an SVG image; nothing in it runs or loads."""
    wide, tall = drawing.width, drawing.height
    size = f'width="{wide}" height="{tall}" viewBox="0 0 {wide} {tall}"'
    font = f'font-family="system-ui,sans-serif" font-size="{FONT}"'
    inner = "".join(map(_element, drawing.shapes))
    whole = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font}>{inner}</svg>'
    return "data:image/svg+xml;base64," + base64.b64encode(whole.encode()).decode()


def _element(shape: Shape) -> str:
    at = "".join(
        f' {name}="{html.escape(str(value))}"' for name, value in shape.at.items()
    )
    return (
        f"<{shape.tag}{at}{_look(shape.look)}>{html.escape(shape.text)}</{shape.tag}>"
    )


def _look(look: str) -> str:
    if look == "grid":
        return f' fill="none" stroke="{INK}" stroke-opacity=".3"'
    if look == "ink":
        return f' fill="{INK}"'

    colour = COLOURS[int(look[-1])]
    if look.startswith("line"):
        return (
            f' fill="none" stroke="{colour}" stroke-width="1.8" stroke-linejoin="round"'
        )

    return f' fill="{colour}"'
