#!/bin/sh
# The official MCP conformance suite, one scenario after the other (side by side they time out on small machines).
#   run.sh client               our sessions as the client: suite 0.1.16 whole, suite 0.2 as required of both revisions
#   run.sh client NAME...       only these scenarios, or suites: 0.1.16, "0.2 2025-11-25", "0.2 2026-07-28"
#   run.sh server               a server of ours (fixture.py) through our serving code, same suites
#   run.sh server URL           the server at that URL, same suites
# Node 22 and the suites come from npm into MCP_NOTEBOOK_CONFORMANCE (default: a folder of the system's temporary one).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
home=${MCP_NOTEBOOK_CONFORMANCE:-${TMPDIR:-/tmp}/mcp-notebook-conformance}
for one in "a node@22 @modelcontextprotocol/conformance@0.1.16" "b @modelcontextprotocol/conformance@0.2.0-alpha.12"; do
  set_name=${one%% *}
  if [ ! -d "$home/$set_name/node_modules/@modelcontextprotocol" ]; then
    mkdir -p "$home/$set_name"
    (cd "$home/$set_name" && npm init -y >/dev/null && npm install --no-audit --no-fund --loglevel=error ${one#* })
  fi
done
cd "$here/../.."
exec "${PYTHON:-python}" -m tests.conformance.suite "$home" "$@"
