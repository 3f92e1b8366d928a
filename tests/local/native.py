"""llama.cpp's own Messages API in a process: `python -m tests.local.native MODEL.gguf`
prints its address and key.
"""

import secrets
import sys

import xllamacpp

params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.n_ctx, params.n_parallel, params.warmup, params.ui, params.verbosity = (
    4096,
    1,
    False,
    False,
    0,
)
params.hostnames, params.port = ["127.0.0.1"], int(sys.argv[2])
params.api_keys = [secrets.token_urlsafe(16)]
for cpu in (params.cpuparams, params.cpuparams_batch):
    cpu.n_threads = 1
server = xllamacpp.Server(params)
print(server.listening_address, params.api_keys[0], flush=True)
sys.stdin.read()
