"""What a chart shows, as plain values: no Arrow, no pixels."""

from dataclasses import dataclass
from typing import Literal

Values = tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Series:
    """One line or one row of bars; None is a gap."""

    name: str
    values: Values


@dataclass(frozen=True, slots=True)
class Panel:
    """Lines that share a scale; a quantity of its own has a panel of its own."""

    title: str
    series: tuple[Series, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """`at` are the places of `labels` along the axis, in order. `code` draws the same
    with pandas.
    """

    kind: Literal["line", "bar"]
    title: str
    axis: str
    at: tuple[float, ...]
    labels: tuple[str, ...]
    panels: tuple[Panel, ...]
    code: str
