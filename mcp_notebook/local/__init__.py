"""A local GGUF model as a Messages API: llama.cpp with constrained decoding behind the
address that the SDK expects.

    server = start_local("qwen2.5-coder-1.5b-instruct-q4_k_m.gguf")
    client = anthropic.AsyncAnthropic(base_url=server.base_url, api_key=server.api_key)

engine      llama.cpp's server from the package xllamacpp
prompt      a request reshaped for a small model, one step at a time
turns       the steps of one request, to the events of a reply
api         the HTTP server
process     all of it in a process of its own, ended with its parent
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcp_notebook.local.process import LocalServer, start_local

__all__ = ["LocalServer", "start_local"]


def __getattr__(name: str) -> Any:
    # The parts load httpx2 and starlette: on first use, not with the extension.
    if name in __all__:
        return getattr(importlib.import_module(f"{__name__}.process"), name)
    raise AttributeError(name)
