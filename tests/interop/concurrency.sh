#!/bin/bash
# How many signatures survive when many sign one image at once on a registry without the referrers API.
#
#   KEYLESS=… PEERS=… tests/interop/concurrency.sh [keyless|cosign]...
#
# There every writer reads the index under the fallback tag, adds a line and writes it back, and the protocol has no
# lock: a line may be lost. ROUNDS (50) rounds of WRITERS (12) concurrent `keyless sign` of one fresh image on a real
# docker-registry, on one sandbox; then COSIGN_ROUNDS (5) rounds of cosign. Prints what each round kept and the sum.
# Exits non-zero when one of ours says that it signed and its line is not in the index. One that says it could not is
# counted and its error shown: its bundle is not lost, and `keyless attach bundle` finishes it.
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
ROUNDS=${ROUNDS:-50} WRITERS=${WRITERS:-12} COSIGN_ROUNDS=${COSIGN_ROUNDS:-5}

survivors() { # survivors IMAGE@DIGEST: how many different manifests the index under its fallback tag lists
  python3 - "$1" <<'END'
import json, sys, urllib.error, urllib.request
name, digest = sys.argv[1].rsplit("@", 1)
host, repository = name.split("/", 1)
url = f"http://{host}/v2/{repository}/manifests/{digest.replace(':', '-')}"
request = urllib.request.Request(url, headers={"Accept": "application/vnd.oci.image.index.v1+json"})
try:
    index = json.load(urllib.request.urlopen(request, timeout=20))
    print(len({line["digest"] for line in index["manifests"]}))
except urllib.error.HTTPError:
    print(0)
END
}

rounds() { # rounds SIGNER COUNT
  local signer=$1 count=$2 round writer image kept failed sum=0 refused=0 pids=() told
  for round in $(seq "$count"); do
    image=$(push_image "$docker_registry_host/concurrency/$signer$round") || stop "crane push failed"
    pids=() failed=0
    for writer in $(seq "$WRITERS"); do "${signer}_sign_image" "$image" > "$work/$signer.$round.$writer" 2>&1 < /dev/null & pids+=($!); done
    for writer in $(seq "$WRITERS"); do
      wait "${pids[writer - 1]}" && continue
      failed=$((failed + 1)) told=$(said "$work/$signer.$round.$writer")
    done
    kept=$(survivors "$image")
    sum=$((sum + kept)) refused=$((refused + failed))
    echo "$signer round $round: $kept of $WRITERS kept, $failed said they failed${told:+ ($told)}"
    told=
  done
  echo "$signer: $sum of $((count * WRITERS)) signatures survive, $refused said they failed"
  [ $((sum + refused)) -ge $((count * WRITERS)) ]
}

if [ "${1:-}" = inside ]; then
  work=$2 docker_registry_host=$3
  shift 3
  clean_environment
  TOKEN=$SIGSTORE_ID_TOKEN TRUSTED_ROOT=$KEYLESS_TRUSTED_ROOT SIGNING_CONFIG=$KEYLESS_SIGNING_CONFIG
  keyless_sign=()
  status=0
  for signer; do case $signer in
    keyless) rounds keyless "$ROUNDS" || status=1 ;;
    cosign) rounds cosign "$COSIGN_ROUNDS" || true ;; # a comparison, not a test
    *) stop "no signer $signer" ;;
  esac; done
  exit $status
fi
[ $# -gt 0 ] || set -- keyless cosign
new_work
start_docker_registry
"$KEYLESS" sandbox run --rekor v1 -- bash "$here/concurrency.sh" inside "$work" "$docker_registry_host" "$@" < /dev/null
