"""What a kernel that ends normally leaves behind: nothing."""

import sys
from pathlib import Path

import pytest
from jupyter_client.manager import KernelManager

from mcp_notebook.sessions.log import PREFIX, SUFFIX
from tests.kernel.driver import GUARD, Kernel, _environment

PLAIN = Path(__file__).parents[1] / "servers" / "plain.py"


@pytest.mark.slow
def test_the_private_log_of_a_server_goes_with_the_kernel(tmp_path: Path):
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(
        cwd=str(tmp_path), env={**_environment(), "TMPDIR": str(tmp_path)}
    )
    manager.shutdown_wait_time = GUARD
    running = Kernel(manager)
    try:
        running.run("%load_ext mcp_notebook")
        assert (
            running.run(f"%mcp_connect plain {sys.executable} {PLAIN}").status == "ok"
        )
        assert list(tmp_path.glob(f"{PREFIX}plain-*{SUFFIX}"))
    finally:
        running.client.stop_channels()
        manager.shutdown_kernel(now=False)
    assert not list(tmp_path.glob(f"{PREFIX}plain-*{SUFFIX}"))
