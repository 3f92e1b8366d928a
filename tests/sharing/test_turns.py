"""While the tables are served, threads change more often; what it is good for is the
figure `busy` of `figures`.
"""

import sys
from pathlib import Path

from mcp_notebook.sharing.http_server import (
    SWITCH_SECONDS,
    OutsideServer,
    shorten_gil_turns,
)
from tests.sharing.test_outside import shared_notebook


async def test_turns_are_shorter_only_while_the_tables_are_served(tmp_path: Path):
    """With two servers until the last one stops, and a notebook's own shorter interval stays."""
    before = sys.getswitchinterval()
    one, other = (
        OutsideServer(shared_notebook().catalog),
        OutsideServer(shared_notebook().catalog),
    )
    await one.start(tmp_path)
    await other.start(tmp_path)
    await one.stop()
    assert sys.getswitchinterval() <= SWITCH_SECONDS
    await other.stop()
    assert sys.getswitchinterval() == before
    sys.setswitchinterval(SWITCH_SECONDS / 5)
    with shorten_gil_turns():
        assert sys.getswitchinterval() < SWITCH_SECONDS
    sys.setswitchinterval(before)
