#!/bin/bash
# The interop matrix on the embedded sandbox: what we sign, the peers verify; what they sign, we verify.
#
#   KEYLESS=target/release/keyless PEERS=.peers tests/interop/run.sh
#
# {Rekor v1, Rekor v1 with TSA, Rekor v2 with TSA} x {blob, image, index} x {the sandbox's registry with the referrers
# API, a real docker-registry without it}, and the files that `signing-config create` and `trusted-root create` make
# beside those of cosign. Every cell is also run with the identity changed by one character, which must be
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
  cells() { # cells WHERE
    blob_cells "$1"
    image_cells "$1" "referrers API" "$SANDBOX_REGISTRY" api
    image_cells "$1" "docker-registry" "$docker_registry_host" tag
  }
  if [ "$rekor" = v1 ]; then # without a timestamp the log's own promise is the only witness of the time
    export KEYLESS_SIGNING_CONFIG=$work/no-tsa.json
    python3 -c 'import json, sys; c = json.load(open(sys.argv[1])); [c.pop(k, None) for k in ("tsaUrls", "tsaConfig")]; json.dump(c, sys.stdout)' \
      "$SIGNING_CONFIG" > "$KEYLESS_SIGNING_CONFIG"
    with_tsa=$SIGNING_CONFIG SIGNING_CONFIG=$KEYLESS_SIGNING_CONFIG
    cells "Rekor v1"
    export KEYLESS_SIGNING_CONFIG=$with_tsa SIGNING_CONFIG=$with_tsa
  fi
  cells "Rekor $rekor+TSA"
  recursive_cells "Rekor $rekor+TSA" "referrers API" "$SANDBOX_REGISTRY"
  recursive_cells "Rekor $rekor+TSA" "docker-registry" "$docker_registry_host"
  config_cells "Rekor $rekor+TSA"
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
