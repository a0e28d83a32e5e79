#!/bin/bash
# Every measured fault of cosign 3, replayed with the real one beside ours.
#
#   KEYLESS=… PEERS=… tests/interop/faults.sh [B3|B4|B5|B6|B7|B8|SCENE]...
#
# On the sandbox's registry with the referrers API and on a real docker-registry without it. Of each scene it prints what
# cosign did, and whether that is still the fault, and what keyless did; it passes when ours is right. See faults.py.
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
new_work
start_docker_registry
export KEYLESS PEERS WORK=$work DOCKER_REGISTRY_HOST=$docker_registry_host PYTHONDONTWRITEBYTECODE=1
"$KEYLESS" sandbox run --rekor v1 -- python3 "$here/faults.py" "$@" < /dev/null
