"""What `mcp_notebook` offers, and nothing more by accident."""

import mcp_notebook

NAMES = """
CheckFailed __version__ acall aconnect ask asql call check compare connect disconnect
enable_nested_asyncio explain load_ipython_extension read resource result server settings
share sql
to_dataframe unload_ipython_extension unshare
"""


def test_the_public_names_are_these():
    assert mcp_notebook.__all__ == NAMES.split()
    assert all(hasattr(mcp_notebook, name) for name in mcp_notebook.__all__)
