#!/bin/bash
# Forces two writers of one fallback tag to interleave on a real docker-registry, then repairs it: see interleave.py.
#
#   KEYLESS=… PEERS=… tests/interop/interleave.sh
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
new_work
start_docker_registry
export KEYLESS PEERS
"$KEYLESS" sandbox run --rekor v1 -- python3 "$here/interleave.py" "$docker_registry_host" < /dev/null
