#!/bin/bash
# The interop matrix on the real services: Fulcio, CT log, Rekor v1, Rekor v2, TSA and three registries on loopback.
#
#   STACK_DEST=FOLDER STACK_SCRIPTS=FOLDER KEYLESS=… PEERS=… tests/interop/stack.sh
#
# STACK_DEST is a built and started stack; STACK_SCRIPTS holds its env.sh and requests.sh (default: the folder
# shared/stack beside this repository). The whole of matrix.sh for {v1, v1 with TSA, v2 with TSA} on three registries,
# old formats and attestations among it, each also with another identity; an index with all it lists; and the other
# ways in which cosign stores what it signs.
# Then the number of requests that `sign`, `verify` and `verify` of SIGNATURES (100) signatures cost, ours beside
# cosign's. Not part of .ci/run, since the services are not built there.
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$here/matrix.sh"
. "$here/variant_cells.sh"
STACK_DEST=${STACK_DEST:-} STACK_SCRIPTS=${STACK_SCRIPTS:-$repo/../shared/stack} SIGNATURES=${SIGNATURES:-100}
[ -n "$STACK_DEST" ] || stop "STACK_DEST is not set"
[ -r "$STACK_SCRIPTS/env.sh" ] || stop "no env.sh in STACK_SCRIPTS=$STACK_SCRIPTS"
new_work
. "$STACK_SCRIPTS/env.sh" "$STACK_DEST"
export TUF_ROOT=$work/tuf
curl -sf -o /dev/null "http://$REGISTRY_REFERRERS/v2/" || stop "the stack under STACK_DEST is not running"
results=$work/results; : > "$results"
TOKEN=$(token) STRANGER_TOKEN=$(token mallory@test.invalid)

FULCIO_URL=$FULCIO REKOR_URL=$REKOR1 FULCIO_CHAIN=$STACK/keys/fulcio-chain.pem REKOR_KEY=$STACK/keys/rekor1.pub CTLOG_KEY=$STACK/keys/ct.pub
registries=("api-unfaithful $REGISTRY_REFERRERS referrers API" "tag $REGISTRY_PLAIN docker-registry" "tag $REGISTRY_CRANE crane registry")
recursive_registries=("referrers API $REGISTRY_REFERRERS" "docker-registry $REGISTRY_PLAIN")

use() { # use SIGNING-CONFIG
  SIGNING_CONFIG=$1
  keyless_sign=(--identity-token "$TOKEN" --signing-config "$SIGNING_CONFIG" --trusted-root "$TRUSTED_ROOT")
  keyless_trust=(--trusted-root "$TRUSTED_ROOT")
}

for version in "v1 $SIGNING_CONFIG_V1" "v1+TSA $SIGNING_CONFIG_V1TSA" "v2+TSA $SIGNING_CONFIG_V2"; do
  use "${version#* }"
  where="Rekor ${version%% *}" REKOR_VERSION=${version%%[+ ]*} TSA_URL=
  case $where in *TSA) TSA_URL=$TSA ;; esac
  # A first entry, so that none of the cells has log index 0: cosign leaves zeroes out of its JSON.
  "${limit[@]}" "$KEYLESS" sign-blob "${keyless_sign[@]}" --overwrite --bundle "$work/first.json" "$repo/LICENSE" > "$work/first.log" 2>&1 < /dev/null
  matrix_cells "$where"
  for registry in "${recursive_registries[@]}"; do
    spawn recursive_cells "$where" "${registry% *}" "${registry##* }"
    [ "$where" != "Rekor v1+TSA" ] || spawn variant_cells "$where" "${registry% *}" "${registry##* }"
  done
  wait
done
print_table; status=$?

# What each command costs in requests, counted by the stack's logging proxy.
count() { # count WHAT WHO COMMAND...
  local what=$1 who=$2 total
  shift 2
  "$STACK_SCRIPTS/requests.sh" "$STACK_DEST" timeout -k 5 300 "$@" > "$work/requests" 2>&1 < /dev/null ||
    { printf '%-46s %-8s failed: %s\n' "$what" "$who" "$(said "$work/requests")"; status=1; return; }
  total=$(awk '$1 == "total" { print $2 }' "$work/requests")
  printf '%-46s %-8s %5s   %s\n' "$what" "$who" "$total" "$(awk '/^ +[0-9]+  /{ n=$1; $1=""; printf "%s%s x%d", s, $0, n; s="," }' "$work/requests")"
}
identity=(--certificate-identity "$IDENTITY" --certificate-oidc-issuer "$ISSUER")
echo; echo "requests"
for registry in "referrers API $REGISTRY_REFERRERS_PROXY" "docker-registry $REGISTRY_PLAIN_PROXY"; do
  name=${registry% *} host=${registry##* }
  for version in "v1+TSA $SIGNING_CONFIG_V1TSA_PROXY" "v2+TSA $SIGNING_CONFIG_V2_PROXY"; do
    use "${version#* }"
    ours=$(push_image "$host/count/ours") theirs=$(push_image "$host/count/theirs")
    count "sign, ${version%% *}, $name" keyless "$KEYLESS" sign "${keyless_sign[@]}" -y "$ours"
    count "sign, ${version%% *}, $name" cosign "$cosign" sign --signing-config "$SIGNING_CONFIG" --trusted-root "$TRUSTED_ROOT" --identity-token "$TOKEN" -y "$theirs"
  done
  count "verify, $name" keyless "$KEYLESS" verify "${keyless_trust[@]}" "${identity[@]}" "$ours"
  count "verify, $name" cosign "$cosign" verify "${keyless_trust[@]}" "${identity[@]}" "$ours"
  use "$SIGNING_CONFIG_V1"
  many=$(push_image "$host/count/many")
  for _ in $(seq "$SIGNATURES"); do keyless_sign_image "$many" > "$work/many.log" 2>&1 < /dev/null || { said "$work/many.log"; status=1; break; }; done
  count "verify of $SIGNATURES signatures, $name" keyless "$KEYLESS" verify "${keyless_trust[@]}" "${identity[@]}" "$many"
  count "verify of $SIGNATURES signatures, $name" cosign "$cosign" verify "${keyless_trust[@]}" "${identity[@]}" "$many"
done
exit $status
