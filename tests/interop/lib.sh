# shellcheck shell=bash
# Sourced by the scripts of this folder and of tests/bench: the peers, a registry, images made of real files, and
# the cells of the matrix. Nothing here starts by itself.
#
# The caller sets KEYLESS (the program) and PEERS (the folder that peers.sh filled).

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
repo=$(cd "$here/../.." && pwd -P)
KEYLESS=${KEYLESS:-$repo/target/release/keyless}
PEERS=${PEERS:-$repo/.peers}
cosign=$PEERS/bin/cosign cosign2=$PEERS/bin/cosign2 sigstore_go=$PEERS/bin/sigstore-go-verification crane=$PEERS/bin/crane oras=$PEERS/bin/oras
docker_registry=$PEERS/bin/docker-registry sigstore_python=$PEERS/bin/sigstore

stop() { echo "${0##*/}: $*" >&2; exit 2; }
[ -x "$KEYLESS" ] || stop "no program at KEYLESS=$KEYLESS"
for program in "$cosign" "$cosign2" "$sigstore_go" "$crane" "$oras" "$docker_registry" "$sigstore_python" "$PEERS/bin/node"; do
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
  local layer
  layer=$(mktemp -d "$work/layer.XXXXXX")
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
run_logged() { # run_logged COMMAND...: status and $last (the file with its output), in a subshell too
  log_number=$((log_number + 1)); last=$work/out.$BASHPID.$log_number
  "${limit[@]}" "$@" > "$last" 2>&1 < /dev/null
}
said() { # said FILE: the line of it that tells most, for the table
  { grep -m1 -iE '^(\[.*\])? *error' "$1" || grep -m1 -iE 'fail|not |mismatch' "$1" || tail -n1 "$1"; } | tr '\t' ' ' | cut -c1-150
}

keyless_sign_image() { "${limit[@]}" "$KEYLESS" sign "${keyless_sign[@]}" -y "$@"; }
cosign_sign_image() { "${limit[@]}" "$cosign" sign --signing-config "$SIGNING_CONFIG" --trusted-root "$TRUSTED_ROOT" --identity-token "$TOKEN" -y "$@"; }

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
  log_number=$((log_number + 1)); last=$work/out.$BASHPID.$log_number
  "$@" > "$last" 2>&1 < /dev/null && return
  note "$where" "$what" "$who signs" FAIL "$(said "$last")"
  return 1
}

# An index and the images it lists, signed in one go: every one must verify by itself, and all of them at once.
recursive_cells() { # recursive_cells WHERE REGISTRY-NAME HOST
  local where=$1 what="index and its images, $2" name=$3/recursive signer verifier index children digest good
  for signer in keyless cosign; do
    index=$(push_index "$name/$signer") || { note "$where" "$what" "crane push" FAIL "no index"; return; }
    sign_or_note "$where" "$what" "$signer --recursive" "${signer}_sign_image" --recursive "$index" || continue
    for verifier in keyless cosign; do
      good=0
      for digest in "${index#*@}" $(children "$index"); do "verify_${verifier}_image" "$IDENTITY" "${index%@*}@$digest" && good=$((good + 1)); done
      if [ $good = 3 ]; then note "$where" "$what" "$signer --recursive -> $verifier, each" PASS "the index and both its images"
      else note "$where" "$what" "$signer --recursive -> $verifier, each" FAIL "$good of 3 verify: $(said "$last")"; fi
    done
    cell "$where" "$what" "$signer --recursive" keyless recursive "$index"
  done
  # Only the parent is signed: that is not the whole.
  index=$(push_index "$name/parent") || { note "$where" "$what" "crane push" FAIL "no index"; return; }
  sign_or_note "$where" "$what" "keyless, parent only" keyless_sign_image "$index" || return
  if verify_keyless_recursive "$IDENTITY" "$index"; then note "$where" "$what" "keyless, parent only -> keyless" FAIL "accepts an index whose images are not signed"
  elif children=$(children "$index") && grep -qF "${children:0:19}" "$last"; then note "$where" "$what" "keyless, parent only -> keyless" PASS "refused, and names the image"
  else note "$where" "$what" "keyless, parent only -> keyless" FAIL "refused, but not for an image: $(said "$last")"; fi
}
verify_keyless_recursive() { run_logged "$KEYLESS" verify --recursive "${keyless_trust[@]}" --certificate-identity "$1" --certificate-oidc-issuer "$ISSUER" "$2"; }
children() { "$crane" manifest "$1" | python3 -c 'import json, sys; [print(one["digest"]) for one in json.load(sys.stdin)["manifests"]]'; } # children INDEX@DIGEST
push_index() { # push_index HOST/NAME: an index of two images; prints NAME@DIGEST
  local first second digest
  first=$(push_image "$1") && second=$(push_image "$1") || return
  digest=$("${limit[@]}" "$crane" index append -m "$first" -m "$second" -t "$1:index" 2> "$work/index.$BASHPID.log" | sed 's/.*@//')
  [ -n "$digest" ] && echo "$1@$digest"
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
  if sign_or_note "$where" "files made: a blob" keyless sign_keyless_blob "$blob" "$blob.json"; then
    cell "$where" "files made: a blob" keyless cosign blob "$blob" "$blob.json" keyless
  fi
  keyless_sign=() keyless_trust=()
}

print_table() { python3 "$here/table.py" "$results"; } # every cell, then the closing line; status 1 on any failure
