"""Whether Altair code draws what the notebook drew."""

import re
from typing import Any

from mcp_notebook.charts.drawing import SCHEMA, draw

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")
_COUNTED = re.compile(r"(gradient|clip)_?\d+")  # identifiers that count up


def same_picture(chart: Any, svg: str) -> bool:
    """Whether an Altair chart, in our colours, is this SVG to a hundredth of a pixel:
    sums in another order differ in their last digits.
    """
    spec = chart.to_dict()
    spec["$schema"] = SCHEMA
    spec.pop("config", None)
    one, other = (_COUNTED.sub(r"\1", text) for text in (draw(spec)[0], svg))
    if _NUMBER.sub("", one) != _NUMBER.sub("", other):
        return False

    pairs = zip(_NUMBER.findall(one), _NUMBER.findall(other), strict=True)
    return all(a == b or abs(float(a) - float(b)) < 0.01 for a, b in pairs)
