"""Whether Altair code draws what the notebook drew."""

import re
from typing import Any

from mcp_notebook.charts.drawing import SCHEMA, draw


def same_picture(chart: Any, svg: str) -> bool:
    """Whether an Altair chart, in our colours, is this SVG: sums in another order may
    differ in their last digits, and identifiers count up.
    """
    spec = chart.to_dict()
    spec["$schema"] = SCHEMA
    spec.pop("config", None)
    drawn, _, _ = draw(spec)
    return plain(drawn) == plain(svg)


def plain(svg: str) -> str:
    """The SVG with rounded numbers and without counted names."""
    named = re.sub(r"(gradient|clip)_?\d+", r"\1", svg)
    return re.sub(
        r"-?\d+\.\d+(?:e-?\d+)?", lambda found: f"{float(found[0]):.2f}", named
    )
