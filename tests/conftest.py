"""What holds for every test."""

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def _what_a_module_leaves_is_its_own() -> Iterator[None]:
    """Collect when a module ends, so that what it left open is told of it and not of a
    test that comes later.
    """
    yield
    gc.collect()
