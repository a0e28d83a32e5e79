# shellcheck shell=bash
# Sourced by the scripts of this folder and of tests/bench: the peers, a registry, images made of real files, and
# the cells of the matrix. Nothing here starts by itself.
#
# The caller sets KEYLESS (the program) and PEERS (the folder that peers.sh filled).

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
repo=$(cd "$here/../.." && pwd -P)
KEYLESS=${KEYLESS:-$repo/target/release/keyless}
PEERS=${PEERS:-$repo/.peers}
cosign=$PEERS/bin/cosign sigstore_go=$PEERS/bin/sigstore-go-verification crane=$PEERS/bin/crane oras=$PEERS/bin/oras
docker_registry=$PEERS/bin/docker-registry sigstore_python=$PEERS/bin/sigstore

stop() { echo "${0##*/}: $*" >&2; exit 2; }
[ -x "$KEYLESS" ] || stop "no program at KEYLESS=$KEYLESS"
for program in "$cosign" "$sigstore_go" "$crane" "$oras" "$docker_registry" "$sigstore_python"; do
  [ -x "$program" ] || stop "no ${program##*/} under PEERS=$PEERS: run tests/interop/peers.sh first"
done
KEYLESS=$(cd "$(dirname "$KEYLESS")" && pwd -P)/$(basename "$KEYLESS")

# A folder for one run, a home without anyone's settings, and every process started here stopped by its id at the end.
new_work() {
  work=$(mktemp -d)
  started=()
  trap leave EXIT
  export HOME=$work/home TUF_ROOT=$work/tuf
  mkdir -p "$HOME" "$TUF_ROOT"
  clean_environment
}
clean_environment() {
  export COSIGN_YES=true SIGSTORE_NO_CACHE=1 LC_ALL=C COLUMNS=250 NO_COLOR=1
  unset DOCKER_CONFIG GITHUB_ACTIONS ACTIONS_ID_TOKEN_REQUEST_URL ACTIONS_ID_TOKEN_REQUEST_TOKEN
}
leave() {
  local pid
  for pid in "${started[@]}"; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null; done
  [ -n "${KEEP:-}" ] && echo "kept: $work" >&2 || rm -rf "$work"
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
wait_for_port() {
  local _
  for _ in $(seq 100); do (exec 3<> "/dev/tcp/127.0.0.1/$1") 2>/dev/null && return; sleep 0.1; done
  return 1
}

# Debian's docker-registry 2.8: a real registry without the referrers API. Sets docker_registry_host.
start_docker_registry() {
  local port
  port=$(free_port)
  cat > "$work/registry.yml" <<END
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $work/registry}, delete: {enabled: true}}
http: {addr: "127.0.0.1:$port", relativeurls: true}
END
  "$docker_registry" serve "$work/registry.yml" > "$work/registry.log" 2>&1 < /dev/null &
  started+=($!)
  wait_for_port "$port" || { tail -n3 "$work/registry.log" >&2; stop "docker-registry did not come up"; }
  docker_registry_host=127.0.0.1:$port
}

# push_image HOST/NAME: an image of this repository's own files and a line that makes it new; prints NAME@DIGEST.
push_image() {
  local layer=$work/layer.$RANDOM$RANDOM
  mkdir -p "$layer/files"
  cp "$repo/LICENSE" "$repo/Cargo.toml" "$layer/files/"
  echo "$1 $(date +%s%N) $RANDOM" > "$layer/files/made"
  tar -C "$layer" -cf "$layer/layer.tar" files
  "$crane" append --oci-empty-base -f "$layer/layer.tar" -t "$1:v1" > "$layer/reference" 2> "$layer/log" ||
    { cat "$layer/log" >&2; return 1; }
  echo "$1@$(sed 's/.*@//' "$layer/reference")"
  rm -rf "$layer"
}

# ClientTrustConfig, which sigstore-python wants, out of a trusted root and a signing config.
client_trust_config() { # client_trust_config TRUSTED_ROOT SIGNING_CONFIG > FILE
  python3 - "$1" "$2" <<'END'
import json, sys
root, config = (json.load(open(path)) for path in sys.argv[1:3])
for key in ("rekorTlogConfig", "tsaConfig"):  # an empty one, as cosign writes it, is refused there
    config[key] = config.get(key) or {"selector": "ANY"}
json.dump({"mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
           "trustedRoot": root, "signingConfig": config}, sys.stdout)
END
}

# other_by_one CHARACTER-STRING: the same with its first character changed.
other_by_one() { case $1 in a*) echo "b${1#?}" ;; *) echo "a${1#?}" ;; esac; }

# --- the cells -------------------------------------------------------------------------------------------------
# The caller sets: results (file), IDENTITY, ISSUER, TRUSTED_ROOT, SIGNING_CONFIG, TOKEN, and the arrays
# keyless_sign and keyless_trust (flags of our own program beside those every cell gives).

limit=(timeout -k 5 "${CELL_SECONDS:-120}")
note() { printf '%s\t%s\t%s\t%s\t%s\n' "$@" >> "$results"; } # note WHERE WHAT WHO RESULT REASON
log_number=0
run_logged() { # run_logged COMMAND...: status and $last (the file with its output)
  log_number=$((log_number + 1)); last=$work/out.$log_number
  "${limit[@]}" "$@" > "$last" 2>&1 < /dev/null
}
said() { # said FILE: the line of it that tells most, for the table
  { grep -m1 -iE '^(\[.*\])?( *ERROR)?.*(error|fail|not |mismatch)' "$1" || tail -n1 "$1"; } | tr '\t' ' ' | cut -c1-150
}

keyless_sign_blob() { "${limit[@]}" "$KEYLESS" sign-blob "${keyless_sign[@]}" --overwrite --bundle "$2" "$1"; }
keyless_sign_image() { "${limit[@]}" "$KEYLESS" sign "${keyless_sign[@]}" -y "$@"; }
cosign_sign_blob() { "${limit[@]}" "$cosign" sign-blob --signing-config "$SIGNING_CONFIG" --trusted-root "$TRUSTED_ROOT" --identity-token "$TOKEN" -y --bundle "$2" "$1"; }
cosign_sign_image() { "${limit[@]}" "$cosign" sign --signing-config "$SIGNING_CONFIG" --trusted-root "$TRUSTED_ROOT" --identity-token "$TOKEN" -y "$1"; }
sigstore_python_sign_blob() { "${limit[@]}" "$sigstore_python" --trust-config "$trust_config" sign --identity-token "$TOKEN" --overwrite --bundle "$2" "$1"; }

# verify_PROGRAM_blob IDENTITY FILE BUNDLE; verify_PROGRAM_image IDENTITY IMAGE@DIGEST
verify_keyless_blob() { run_logged "$KEYLESS" verify-blob "${keyless_trust[@]}" --certificate-identity "$1" --certificate-oidc-issuer "$ISSUER" --bundle "$3" "$2"; }
verify_keyless_image() { run_logged "$KEYLESS" verify "${keyless_trust[@]}" --certificate-identity "$1" --certificate-oidc-issuer "$ISSUER" "$2"; }
verify_cosign_blob() { run_logged "$cosign" verify-blob --trusted-root "$TRUSTED_ROOT" --certificate-identity "$1" --certificate-oidc-issuer "$ISSUER" --bundle "$3" "$2"; }
verify_cosign_image() { run_logged "$cosign" verify --trusted-root "$TRUSTED_ROOT" --certificate-identity "$1" --certificate-oidc-issuer "$ISSUER" "$2"; }
verify_sigstore_go_blob() { run_logged "$sigstore_go" -trustedrootJSONpath "$TRUSTED_ROOT" -expectedSAN "$1" -expectedIssuer "$ISSUER" -artifact "$2" "$3"; }
verify_sigstore_go_image() { # it reads no registry: the bundle is fetched for it by a reader that is not ours
  # shellcheck disable=SC2086
  run_logged python3 "$here/fetch_bundle.py" ${fetch_flags:-} "$2" "$work/fetched.json" || return
  run_logged "$sigstore_go" -trustedrootJSONpath "$TRUSTED_ROOT" -expectedSAN "$1" -expectedIssuer "$ISSUER" -artifact-digest "${2##*:}" "$work/fetched.json"
}
verify_sigstore_python_blob() { run_logged "$sigstore_python" --trust-config "$trust_config" verify identity --offline --cert-identity "$1" --cert-oidc-issuer "$ISSUER" --bundle "$3" "$2"; }

# A cell passes when the verifier accepts, and refuses the same with the identity changed by one character, and says
# that the identity is why (our own by its exit code, 12).
cell() { # cell WHERE WHAT SIGNER VERIFIER KIND ARGUMENT...
  local where=$1 what=$2 who="$3 -> ${4//_/-}" verifier=$4 kind=$5 status
  shift 5
  "verify_${verifier}_$kind" "$IDENTITY" "$@"; status=$?
  if [ $status != 0 ]; then note "$where" "$what" "$who" FAIL "exit $status: $(said "$last")"; return; fi
  if [ "$verifier" = keyless ] && ! { grep -qF "$IDENTITY" "$last" && grep -qF "$ISSUER" "$last"; }; then
    note "$where" "$what" "$who" FAIL "accepted, but does not print identity and issuer"; return
  fi
  "verify_${verifier}_$kind" "$(other_by_one "$IDENTITY")" "$@"; status=$?
  if [ $status = 0 ]; then note "$where" "$what" "$who" FAIL "accepts another identity"; return; fi
  if [ "$verifier" = keyless ] && [ $status != 12 ]; then note "$where" "$what" "$who" FAIL "another identity: exit $status, not 12: $(said "$last")"; return; fi
  if ! grep -qiE 'identit|SAN' "$last"; then note "$where" "$what" "$who" FAIL "another identity: refused for another reason: $(said "$last")"; return; fi
  note "$where" "$what" "$who" PASS "0, other identity $status"
}

sign_or_note() { # sign_or_note WHERE WHAT SIGNER COMMAND...: a failure to sign is one failed cell
  local where=$1 what=$2 who=$3
  shift 3
  log_number=$((log_number + 1)); last=$work/out.$log_number
  "$@" > "$last" 2>&1 < /dev/null && return
  note "$where" "$what" "$who signs" FAIL "$(said "$last")"
  return 1
}

blob_cells() { # blob_cells WHERE
  local where=$1 blob=$work/blob.$RANDOM verifier
  { cat "$repo/LICENSE"; date +%s%N; } > "$blob"
  trust_config=$work/trust_config.json
  client_trust_config "$TRUSTED_ROOT" "$SIGNING_CONFIG" > "$trust_config"
  # A first entry, so that none of the cells has log index 0: cosign leaves zeroes out of its JSON.
  cosign_sign_blob "$blob" "$blob.first.json" > "$work/first.log" 2>&1 < /dev/null
  if sign_or_note "$where" blob keyless keyless_sign_blob "$blob" "$blob.keyless.json"; then
    for verifier in keyless cosign sigstore_go sigstore_python; do cell "$where" blob keyless $verifier blob "$blob" "$blob.keyless.json"; done
  fi
  if sign_or_note "$where" blob cosign cosign_sign_blob "$blob" "$blob.cosign.json"; then
    for verifier in keyless cosign; do cell "$where" blob cosign $verifier blob "$blob" "$blob.cosign.json"; done
  fi
  if sign_or_note "$where" blob sigstore-python sigstore_python_sign_blob "$blob" "$blob.python.json"; then
    cell "$where" blob sigstore-python keyless blob "$blob" "$blob.python.json"
  fi
}

# How the registry lists referrers: api, tag, or api-unfaithful where it has the API but puts the media type of the
# manifest's config in the place of the manifest's artifactType (go-containerregistry's in-memory registry does).
image_cells() { # image_cells WHERE REGISTRY-NAME HOST api|tag|api-unfaithful
  local where=$1 what="image, $2" host=$3 how=$4 image verifier fetch_flags=
  [ "$how" != api-unfaithful ] || fetch_flags=--any-descriptor
  image=$(push_image "$host/matrix/ours") || { note "$where" "$what" "crane push" FAIL "no image"; return; }
  if sign_or_note "$where" "$what" keyless keyless_sign_image "$image"; then
    for verifier in keyless cosign sigstore_go; do cell "$where" "$what" keyless $verifier image "$image"; done
    note "$where" "$what" "keyless -> sigstore-python" empty "it asks for a name in the statement's subject, and cosign's image signature has none"
    if [ "$how" = api-unfaithful ]; then
      note "$where" "$what" "keyless -> oras discover" empty "this registry does not list the manifest's artifactType"
    elif run_logged "$oras" discover --plain-http --distribution-spec "v1.1-referrers-$how" --format json "$image" &&
      grep -q '"artifactType": "application/vnd.dev.sigstore.bundle.v0.3+json"' "$last"; then
      note "$where" "$what" "keyless -> oras discover" PASS "listed with the bundle's artifactType"
    else
      note "$where" "$what" "keyless -> oras discover" FAIL "listed as: $(grep -m1 artifactType "$last" || said "$last")"
    fi
  fi
  image=$(push_image "$host/matrix/theirs") || { note "$where" "$what" "crane push" FAIL "no image"; return; }
  if sign_or_note "$where" "$what" cosign cosign_sign_image "$image"; then
    for verifier in keyless cosign; do cell "$where" "$what" cosign $verifier image "$image"; done
  fi
}

# An index and the images it lists, signed in one go: every one must verify by itself.
recursive_cells() { # recursive_cells WHERE REGISTRY-NAME HOST
  local where=$1 what="index, $2" name=$3/matrix/index first second index verifier image good
  first=$(push_image "$name") && second=$(push_image "$name") && sleep 0.01 &&
    index=$name@$("$crane" index append -m "$first" -m "$second" -t "$name:index" 2> "$work/index.log" | sed 's/.*@//') ||
    { note "$where" "$what" "crane push" FAIL "no index"; return; }
  sign_or_note "$where" "$what" "keyless --recursive" keyless_sign_image "$index" --recursive || return
  for verifier in keyless cosign; do
    good=0
    for image in "$index" "$first" "$second"; do "verify_${verifier}_image" "$IDENTITY" "$image" && good=$((good + 1)); done
    if [ $good = 3 ]; then note "$where" "$what" "keyless --recursive -> $verifier" PASS "the index and both its images"
    else note "$where" "$what" "keyless --recursive -> $verifier" FAIL "$good of 3 verify: $(said "$last")"; fi
  done
}

# The same flags to both tools must give the same JSON value.
equal_json() { # equal_json WHERE WHAT FLAG FLAGS...: FLAG is the one that names the output file
  local where=$1 what=$2 flag=$3 program
  shift 3
  for program in keyless cosign; do
    "${limit[@]}" "$([ $program = keyless ] && echo "$KEYLESS" || echo "$cosign")" "$@" "$flag" "$work/$program.out" > "$work/$program.log" 2>&1 < /dev/null ||
      { note "$where" "$what" "keyless = cosign" FAIL "$program: $(said "$work/$program.log")"; return; }
  done
  if python3 -c 'import json, sys; a, b = (json.load(open(p)) for p in sys.argv[1:]); sys.exit(a != b)' "$work/keyless.out" "$work/cosign.out" 2> "$work/compare.log"; then
    note "$where" "$what" "keyless = cosign" PASS "equal as JSON values"
  else
    note "$where" "$what" "keyless = cosign" FAIL "$(head -c 200 "$work/keyless.out" | tr '\n' ' ')"
  fi
}

config_cells() { # config_cells WHERE: files made by `create` of both tools, and signatures made and verified with ours
  local where=$1 since=start-time=2024-01-01T00:00:00Z blob=$work/config.blob example mine root config version=1 origin=
  example=(signing-config create --fulcio="url=https://fulcio.example.com,api-version=1,$since,operator=example.com"
    --rekor="url=https://rekor.example.com,api-version=2,$since,operator=example.com" --rekor-config=ANY
    --tsa="url=https://tsa.example.com,api-version=1,$since,operator=example.com" --tsa-config=ANY)
  equal_json "$where" "signing-config create, as documented" --output-file "${example[@]}"
  equal_json "$where" "signing-config create, EXACT:2, oidc" --out "${example[@]/ANY/EXACT:2}" --oidc-provider="url=https://oidc.example.com,api-version=1,$since,end-time=2030-01-01T00:00:00Z,operator=example.com"
  if [[ $where == *v2* ]]; then version=2 origin=,origin=$(curl -sf "$SANDBOX_REKOR_URL/api/v2/checkpoint" | head -n1); fi
  mine=(signing-config create --fulcio="url=$SANDBOX_FULCIO_URL,api-version=1,$since,operator=sandbox" --oidc-provider="url=$SANDBOX_OIDC_URL,api-version=1,$since,operator=sandbox"
    --rekor="url=$SANDBOX_REKOR_URL,api-version=$version,$since,operator=sandbox" --rekor-config=ANY --tsa="url=$SANDBOX_TSA_URL,api-version=1,$since,operator=sandbox" --tsa-config=ANY)
  equal_json "$where" "signing-config create, the sandbox" --out "${mine[@]}"
  config=$work/made.signing_config.json; cp "$work/keyless.out" "$config"
  equal_json "$where" "trusted-root create, the sandbox" --out trusted-root create \
    --fulcio="url=$SANDBOX_FULCIO_URL,certificate-chain=$SANDBOX_FULCIO_CHAIN,$since" --rekor="url=$SANDBOX_REKOR_URL,public-key=$SANDBOX_REKOR_KEY,$since$origin" \
    --ctfe="url=$SANDBOX_CTLOG_URL,public-key=$SANDBOX_CTLOG_KEY,$since" --tsa="url=$SANDBOX_TSA_URL,certificate-chain=$SANDBOX_TSA_CHAIN,$since"
  root=$work/made.trusted_root.json; cp "$work/keyless.out" "$root"
  date > "$blob"
  local TRUSTED_ROOT=$root SIGNING_CONFIG=$config
  keyless_sign=(--signing-config "$config" --trusted-root "$root") keyless_trust=(--trusted-root "$root")
  if sign_or_note "$where" "blob, with the files made" keyless keyless_sign_blob "$blob" "$blob.json"; then
    cell "$where" "blob, with the files made" keyless cosign blob "$blob" "$blob.json"
  fi
  keyless_sign=() keyless_trust=()
}

print_table() { # print_table: every cell in order, then the closing line; status 1 on any failure
  awk -F'\t' '
    { for (i = 1; i <= 4; i++) if (length($i) > w[i]) w[i] = length($i); row[NR] = $0
      if ($4 == "PASS") p++; else if ($4 == "FAIL") f++; else e++ }
    END { for (n = 1; n <= NR; n++) { split(row[n], c, "\t")
            printf "%-*s  %-*s  %-*s  %-*s  %s\n", w[1], c[1], w[2], c[2], w[3], c[3], w[4], c[4], c[5] }
          if (e) printf "%d empty, with the reason\n", e
          printf "%d passed, %d failed\n", p, f
          exit !(p > 0 && f == 0) }' "$results"
}
