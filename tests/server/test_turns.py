"""While the tables are served, threads change more often; what it is good for is the
figure `busy` of `figures`.
"""

import sys
from pathlib import Path

from mcp_notebook.server.outside import OutsideServer
from mcp_notebook.server.turns import SECONDS, shorter
from tests.server.test_outside import shared_notebook


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
    assert sys.getswitchinterval() <= SECONDS
    await other.stop()
    assert sys.getswitchinterval() == before
    sys.setswitchinterval(SECONDS / 5)
    with shorter():
        assert sys.getswitchinterval() < SECONDS
    sys.setswitchinterval(before)
