"""An opt-in for pasted code that calls `asyncio.run(...)` in a cell; nothing of ours needs it.

nest_asyncio2 and not nest_asyncio 1.6: under ipykernel 7 the latter loses queued
execute requests for good.
"""

from mcp_notebook.errors import ConfigError


def enable() -> None:
    """Patch the kernel's running loop; raises ConfigError where that cannot be done."""
    # only for those who ask for it: it swaps asyncio's Task class for the whole process
    import nest_asyncio2

    try:
        nest_asyncio2.apply()
    except ValueError as error:
        sentence = (
            f"This kernel's event loop cannot be nested ({error}); await the "
            "coroutine instead."
        )
        raise ConfigError(sentence) from None
