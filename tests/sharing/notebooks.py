"""A small notebook for the server tests: variables, a catalog over them, and a warm SQL worker."""

from typing import Any

import numpy as np
import pandas as pd

from mcp_notebook.sharing.catalog import Catalog


class Notebook:
    """Variables as a kernel has them, and the catalog that offers some."""

    def __init__(self, **variables: Any) -> None:
        self.variables: dict[str, Any] = variables
        self.catalog = Catalog(lambda: self.variables)
        for name in variables:
            self.catalog.add(name)


def sample() -> pd.DataFrame:
    """Three rows with text, a missing number and dates."""
    return pd.DataFrame(
        {
            "id": np.array([1, 2, 3]),
            "name": ["a", "b", "c"],
            "amount": [1.5, None, 2.5],
            "day": pd.to_datetime(["2026-01-01", "2026-02-01", None]),
        }
    )
