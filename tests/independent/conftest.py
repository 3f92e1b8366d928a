"""aimock, installed once a run."""

from pathlib import Path

import pytest

from tests.independent import aimock


@pytest.fixture(scope="session")
def aimock_command(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return aimock.install(tmp_path_factory.mktemp("aimock"))
    except RuntimeError as error:
        pytest.skip(f"needs Node and the npm registry: {error}")
