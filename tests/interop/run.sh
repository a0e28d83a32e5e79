#!/bin/bash
# The interop matrix on the embedded sandbox: what we sign, the peers verify; what they sign, we verify.
#
#   KEYLESS=target/release/keyless PEERS=.peers tests/interop/run.sh
#
# matrix.sh says who signs what and who judges it, with {Rekor v1, Rekor v1 with TSA, Rekor v2 with TSA} x {the sandbox's
# registry with the referrers API, a real docker-registry without it}. Beside it: an index with all it lists, the other
# ways in which cosign stores what it signs, images copied, saved and loaded with all that is attached, and the files that `signing-config create` and `trusted-root create` make beside those of cosign. Every cell is also run with
# the identity changed by one character, which must be refused for that reason. Prints the matrix, every failure, and
# ends with "N passed, N failed"; any failure exits non-zero. VERBOSE=1 lists every cell, KEEP=1 keeps the working folder.
# All of it is on loopback. CELL_JOBS cells run at a time for each of two sandboxes, one more than cores unless given.
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$here/matrix.sh"
. "$here/variant_cells.sh"
. "$here/moved_cells.sh"

if [ "${1:-}" = cells ]; then # inside `keyless sandbox run`
  rekor=$2 work=$3 docker_registry_host=$4 results=$5
  clean_environment
  IDENTITY=$SANDBOX_IDENTITY ISSUER=$SANDBOX_ISSUER TOKEN=$SIGSTORE_ID_TOKEN
  TRUSTED_ROOT=$KEYLESS_TRUSTED_ROOT SIGNING_CONFIG=$KEYLESS_SIGNING_CONFIG
  REKOR_VERSION=$rekor FULCIO_URL=$SANDBOX_FULCIO_URL REKOR_URL=$SANDBOX_REKOR_V1_URL FULCIO_CHAIN=$SANDBOX_FULCIO_CHAIN
  REKOR_KEY=$SANDBOX_DIR/rekor-v1.pub.pem CTLOG_KEY=$SANDBOX_CTLOG_KEY
  registries=("api $SANDBOX_REGISTRY referrers API" "tag $docker_registry_host fallback tag")
  STRANGER_TOKEN=$(curl -sf "$SANDBOX_OIDC_URL/token?identity=mallory@example.test&format=text")
  keyless_sign=() keyless_trust=() # our own program needs no flag: the sandbox's environment says it all
  # A first entry, so that none of the cells has log index 0: cosign leaves zeroes out of its JSON.
  "${limit[@]}" "$KEYLESS" sign-blob --bundle "$work/first.json" "$repo/LICENSE" > "$work/first.log" 2>&1 < /dev/null
  if [ "$rekor" = v1 ]; then # without a timestamp the log's own promise is the only witness of the time
    export KEYLESS_SIGNING_CONFIG=$work/no-tsa.json
    python3 -c 'import json, sys; c = json.load(open(sys.argv[1])); [c.pop(k, None) for k in ("tsaUrls", "tsaConfig")]; json.dump(c, sys.stdout)' \
      "$SIGNING_CONFIG" > "$KEYLESS_SIGNING_CONFIG"
    with_tsa=$SIGNING_CONFIG SIGNING_CONFIG=$KEYLESS_SIGNING_CONFIG TSA_URL=
    matrix_cells "Rekor v1"
    export KEYLESS_SIGNING_CONFIG=$with_tsa SIGNING_CONFIG=$with_tsa
  fi
  TSA_URL=$SANDBOX_TSA_URL
  matrix_cells "Rekor $rekor+TSA"
  if [ "$rekor" = v1 ]; then
    spawn variant_cells "Rekor v1+TSA" "referrers API" "$SANDBOX_REGISTRY"
    spawn variant_cells "Rekor v1+TSA" "fallback tag" "$docker_registry_host"
    spawn detached_cells "Rekor v1+TSA"
  fi
  spawn moved_cells "Rekor $rekor+TSA" "referrers API" "$SANDBOX_REGISTRY" "fallback tag" "$docker_registry_host"
  spawn moved_cells "Rekor $rekor+TSA" "fallback tag" "$docker_registry_host" "referrers API" "$SANDBOX_REGISTRY"
  spawn recursive_cells "Rekor $rekor+TSA" "referrers API" "$SANDBOX_REGISTRY"
  spawn recursive_cells "Rekor $rekor+TSA" "fallback tag" "$docker_registry_host"
  spawn config_cells "Rekor $rekor+TSA"
  wait
  exit 0
fi

new_work
results=$work/results; : > "$results"
start_docker_registry
run() { # run REKOR: all cells of one sandbox
  mkdir -p "$work/$1"
  "$KEYLESS" sandbox run --rekor "$1" -- bash "$here/run.sh" cells "$1" "$work/$1" "$docker_registry_host" "$results" \
    > "$work/$1.log" 2>&1 < /dev/null || note "Rekor $1" sandbox run FAIL "$(tail -n1 "$work/$1.log" | cut -c1-150)"
}
run v1 & first=$!
run v2 & second=$!
wait $first $second
print_table
