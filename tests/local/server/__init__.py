"""A local GGUF model as a Messages API, for tests and recordings: llama.cpp with
constrained decoding, so that a model of one or two billion parameters can call tools.

    server = start_local("qwen2.5-coder-1.5b-instruct-q4_k_m.gguf")
    client = anthropic.AsyncAnthropic(base_url=server.base_url, api_key=server.api_key)

engine      llama.cpp's server from the package xllamacpp
prompt      a request reshaped for a small model, one step at a time
turns       the steps of one request, to the events of a reply
api         the HTTP server
process     all of it in a process of its own, ended with its parent
"""

from tests.local.server.process import LocalServer, start_local

__all__ = ["LocalServer", "start_local"]
