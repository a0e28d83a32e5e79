#!/bin/bash
# The interop matrix on the embedded sandbox: what we sign, the peers verify; what they sign, we verify.
#
#   KEYLESS=target/release/keyless PEERS=.peers tests/interop/run.sh
#
# {Rekor v1, Rekor v2 with TSA} x {blob, image} x {the sandbox's registry with the referrers API, a real
# docker-registry without it}. Every cell is also run with the identity changed by one character, which must be
# refused for that reason. Prints one line a cell and ends with "N passed, N failed"; any failure exits non-zero.
# All of it is on loopback. Set KEEP=1 to keep the working folder.
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if [ "${1:-}" = cells ]; then # inside `keyless sandbox run`
  rekor=$2 work=$3 docker_registry_host=$4 results=$5
  clean_environment
  IDENTITY=$SANDBOX_IDENTITY ISSUER=$SANDBOX_ISSUER TOKEN=$SIGSTORE_ID_TOKEN
  TRUSTED_ROOT=$KEYLESS_TRUSTED_ROOT SIGNING_CONFIG=$KEYLESS_SIGNING_CONFIG
  keyless_sign=() keyless_trust=() # our own program needs no flag: the sandbox's environment says it all
  blob_cells "Rekor $rekor"
  image_cells "Rekor $rekor" "referrers API" "$SANDBOX_REGISTRY" api
  image_cells "Rekor $rekor" "docker-registry" "$docker_registry_host" tag
  exit 0
fi

new_work
results=$work/results; : > "$results"
start_docker_registry
for rekor in v1 v2; do
  mkdir -p "$work/$rekor"
  "$KEYLESS" sandbox run --rekor $rekor -- bash "$here/run.sh" cells $rekor "$work/$rekor" "$docker_registry_host" "$results" \
    > "$work/$rekor.log" 2>&1 < /dev/null || note "Rekor $rekor" sandbox run FAIL "$(tail -n1 "$work/$rekor.log" | cut -c1-150)"
done
print_table
