"""pyarrow makes its functions at run time and ships no types: everything in it is untyped to the checker."""

from typing import Any

def __getattr__(name: str) -> Any: ...
