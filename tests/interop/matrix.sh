# shellcheck shell=bash
# Sourced by run.sh and stack.sh, after lib.sh: the matrix, every signer by every verifier.
#
# {keyless, keyless --format legacy, cosign 3, cosign 3 legacy, cosign 2.5, sigstore-python, sigstore-js} signs
# {image, index, image's attestation, blob, blob's attestation}, once each, and every verifier judges what was made.
# `matrix_cells WHERE` does it all for one kind of log; what does not apply is noted as empty with the reason.
#
# The caller sets, beside what lib.sh asks for: FULCIO_URL REKOR_URL TSA_URL (empty without), FULCIO_CHAIN REKOR_KEY
# CTLOG_KEY (PEM), REKOR_VERSION (v1 or v2), and registries, an array of "NAME HOST api|tag|api-unfaithful".
# api-unfaithful is a registry with the referrers API that puts the media type of the manifest's config in the place of
# its artifactType (go-containerregistry's in-memory registry does).

signers=(keyless keyless_legacy cosign cosign_legacy cosign2 sigstore_python sigstore_js)
verifiers=(keyless cosign cosign2 sigstore_go sigstore_python sigstore_js)
predicate_type=https://slsa.dev/provenance/v1
attestation=(--type slsaprovenance1)

matrix_files() { # what the peers want beside the trusted root and the signing config
  trust_config=$work/trust_config.json
  client_trust_config "$TRUSTED_ROOT" "$SIGNING_CONFIG" > "$trust_config"
  predicate=$work/predicate.json
  cat > "$predicate" <<'END'
{"buildDefinition": {"buildType": "https://example.test/build/v1", "externalParameters": {"source": "git+https://example.test/app"},
  "internalParameters": {}, "resolvedDependencies": []}, "runDetails": {"builder": {"id": "https://example.test/builder"}, "metadata": {"invocationId": "1"}}}
END
  new_flags=(--signing-config "$SIGNING_CONFIG" --trusted-root "$TRUSTED_ROOT" --identity-token "$TOKEN" -y)
  legacy_flags=(--use-signing-config=false --new-bundle-format=false --trusted-root "$TRUSTED_ROOT")
  old_flags=(--fulcio-url "$FULCIO_URL" --rekor-url "$REKOR_URL" --identity-token "$TOKEN" -y)
  [ -z "$TSA_URL" ] || old_flags+=(--timestamp-server-url "$TSA_URL")
  legacy_flags+=("${old_flags[@]}")
  # cosign takes a trusted root for the old formats only here and there; these variables it knows of old.
  old=(env "SIGSTORE_ROOT_FILE=$FULCIO_CHAIN" "SIGSTORE_REKOR_PUBLIC_KEY=$REKOR_KEY" "SIGSTORE_CT_LOG_PUBLIC_KEY_FILE=$CTLOG_KEY")
  js=(env "SIGSTORE_JS=$PEERS/js" "$PEERS/bin/node" "$here/sigstore_js.mjs")
}

# sign_SIGNER_THING TARGET OUT: TARGET is an image by digest or a file; of a file, OUT is the bundle.
sign_keyless_image() { "${limit[@]}" "$KEYLESS" sign "${keyless_sign[@]}" -y "$1"; }
sign_keyless_attestation() { "${limit[@]}" "$KEYLESS" attest "${keyless_sign[@]}" -y "${attestation[@]}" --predicate "$predicate" "$1"; }
sign_keyless_blob() { "${limit[@]}" "$KEYLESS" sign-blob "${keyless_sign[@]}" -y --bundle "$2" "$1"; }
sign_keyless_blob_attestation() { "${limit[@]}" "$KEYLESS" attest-blob "${keyless_sign[@]}" -y "${attestation[@]}" --predicate "$predicate" --bundle "$2" "$1"; }
sign_keyless_legacy_image() { "${limit[@]}" "$KEYLESS" sign "${keyless_sign[@]}" -y --format legacy "$1"; }
sign_keyless_legacy_blob() { "${limit[@]}" "$KEYLESS" sign-blob "${keyless_sign[@]}" --format legacy --overwrite --bundle "$2" "$1"; }
sign_keyless_legacy_attestation() { "${limit[@]}" "$KEYLESS" attest "${keyless_sign[@]}" -y --format legacy "${attestation[@]}" --predicate "$predicate" "$1"; }
sign_cosign_image() { "${limit[@]}" "$cosign" sign "${new_flags[@]}" "$1"; }
sign_cosign_attestation() { "${limit[@]}" "$cosign" attest "${new_flags[@]}" "${attestation[@]}" --predicate "$predicate" "$1"; }
sign_cosign_blob() { "${limit[@]}" "$cosign" sign-blob "${new_flags[@]}" --bundle "$2" "$1"; }
sign_cosign_blob_attestation() { "${limit[@]}" "$cosign" attest-blob "${new_flags[@]}" "${attestation[@]}" --predicate "$predicate" --bundle "$2" "$1"; }
sign_cosign_legacy_image() { "${limit[@]}" "$cosign" sign "${legacy_flags[@]}" "$1"; }
sign_cosign_legacy_attestation() { "${limit[@]}" "$cosign" attest "${legacy_flags[@]}" "${attestation[@]}" --predicate "$predicate" "$1"; }
sign_cosign_legacy_blob() { "${limit[@]}" "$cosign" sign-blob "${legacy_flags[@]}" --bundle "$2" "$1"; }
sign_cosign_legacy_blob_attestation() { "${limit[@]}" "$cosign" attest-blob "${legacy_flags[@]}" "${attestation[@]}" --predicate "$predicate" --output-attestation "$2.envelope" --bundle "$2" "$1"; }
sign_cosign2_image() { "${limit[@]}" "${old[@]}" "$cosign2" sign "${old_flags[@]}" "$1"; }
sign_cosign2_attestation() { "${limit[@]}" "${old[@]}" "$cosign2" attest "${old_flags[@]}" "${attestation[@]}" --predicate "$predicate" "$1"; }
sign_cosign2_blob() { "${limit[@]}" "${old[@]}" "$cosign2" sign-blob "${old_flags[@]}" ${TSA_URL:+--rfc3161-timestamp "$2.timestamp"} --bundle "$2" "$1"; }
sign_cosign2_blob_attestation() { "${limit[@]}" "${old[@]}" "$cosign2" attest-blob "${old_flags[@]}" ${TSA_URL:+--rfc3161-timestamp-bundle "$2.timestamp"} "${attestation[@]}" --predicate "$predicate" --output-signature "$2.envelope" --bundle "$2" "$1"; }
sign_sigstore_python_blob() { "${limit[@]}" "$sigstore_python" --trust-config "$trust_config" sign --identity-token "$TOKEN" --overwrite --bundle "$2" "$1"; }
sign_sigstore_python_blob_attestation() { "${limit[@]}" "$sigstore_python" --trust-config "$trust_config" attest --identity-token "$TOKEN" --predicate-type "$predicate_type" --predicate "$predicate" --overwrite --bundle "$2" "$1"; }
sign_sigstore_js_blob() { "${limit[@]}" "${js[@]}" sign --signing-config "$SIGNING_CONFIG" --token "$TOKEN" --bundle "$2" "$1"; }
sign_sigstore_js_blob_attestation() {
  python3 - "$1" "$predicate" "$predicate_type" > "$2.statement" <<'END' || return
import hashlib, json, os, sys
path, predicate, kind = sys.argv[1:]
with open(path, "rb") as file, open(predicate) as source:
    json.dump({"_type": "https://in-toto.io/Statement/v1", "predicateType": kind, "predicate": json.load(source),
               "subject": [{"name": os.path.basename(path), "digest": {"sha256": hashlib.sha256(file.read()).hexdigest()}}]}, sys.stdout)
END
  "${limit[@]}" "${js[@]}" attest --signing-config "$SIGNING_CONFIG" --token "$TOKEN" --bundle "$2" "$2.statement"
}

# verify_VERIFIER_THING IDENTITY TARGET BUNDLE SIGNER: where the verifier reads no registry, BUNDLE is what was fetched.
verify_keyless_image() { run_logged "$KEYLESS" verify "${keyless_trust[@]}" --certificate-identity "$1" --certificate-oidc-issuer "$ISSUER" "$2"; }
verify_keyless_attestation() { run_logged "$KEYLESS" verify-attestation "${keyless_trust[@]}" "${attestation[@]}" --certificate-identity "$1" --certificate-oidc-issuer "$ISSUER" "$2"; }
verify_keyless_blob() { run_logged "$KEYLESS" verify-blob "${keyless_trust[@]}" --certificate-identity "$1" --certificate-oidc-issuer "$ISSUER" --bundle "$3" "$2"; }
verify_keyless_blob_attestation() { run_logged "$KEYLESS" verify-blob-attestation "${keyless_trust[@]}" "${attestation[@]}" --certificate-identity "$1" --certificate-oidc-issuer "$ISSUER" --bundle "$3" "$2"; }
verify_cosign_image() { run_logged "$cosign" verify --trusted-root "$TRUSTED_ROOT" --certificate-identity "$1" --certificate-oidc-issuer "$ISSUER" "$2"; }
verify_cosign_attestation() { run_logged "$cosign" verify-attestation --trusted-root "$TRUSTED_ROOT" "${attestation[@]}" --certificate-identity "$1" --certificate-oidc-issuer "$ISSUER" "$2"; }
verify_cosign_blob() {
  case $4 in
    *legacy | cosign2) run_logged "${old[@]}" "$cosign" verify-blob --new-bundle-format=false --certificate-identity "$1" --certificate-oidc-issuer "$ISSUER" --bundle "$3" "$2" ;;
    *) run_logged "$cosign" verify-blob --trusted-root "$TRUSTED_ROOT" --certificate-identity "$1" --certificate-oidc-issuer "$ISSUER" --bundle "$3" "$2" ;;
  esac
}
verify_cosign_blob_attestation() {
  case $4 in
    *legacy | cosign2) run_logged "${old[@]}" "$cosign" verify-blob-attestation --new-bundle-format=false "${attestation[@]}" --certificate-identity "$1" --certificate-oidc-issuer "$ISSUER" --signature "$3.envelope" --bundle "$3" "$2" ;;
    *) run_logged "$cosign" verify-blob-attestation --trusted-root "$TRUSTED_ROOT" "${attestation[@]}" --certificate-identity "$1" --certificate-oidc-issuer "$ISSUER" --bundle "$3" "$2" ;;
  esac
}
verify_cosign2_image() { run_logged "${old[@]}" "$cosign2" verify --certificate-identity "$1" --certificate-oidc-issuer "$ISSUER" "$2"; }
verify_cosign2_attestation() {
  case $4 in
    *legacy | cosign2) run_logged "${old[@]}" "$cosign2" verify-attestation "${attestation[@]}" --certificate-identity "$1" --certificate-oidc-issuer "$ISSUER" "$2" ;;
    *) run_logged "${old[@]}" "$cosign2" verify-attestation --new-bundle-format --trusted-root "$TRUSTED_ROOT" "${attestation[@]}" --certificate-identity "$1" --certificate-oidc-issuer "$ISSUER" "$2" ;;
  esac
}
verify_cosign2_blob() {
  case $4 in
    *legacy | cosign2) run_logged "${old[@]}" "$cosign2" verify-blob --certificate-identity "$1" --certificate-oidc-issuer "$ISSUER" --bundle "$3" "$2" ;;
    *) run_logged "${old[@]}" "$cosign2" verify-blob --new-bundle-format --trusted-root "$TRUSTED_ROOT" --certificate-identity "$1" --certificate-oidc-issuer "$ISSUER" --bundle "$3" "$2" ;;
  esac
}
verify_cosign2_blob_attestation() {
  case $4 in
    *legacy | cosign2) run_logged "${old[@]}" "$cosign2" verify-blob-attestation "${attestation[@]}" --certificate-identity "$1" --certificate-oidc-issuer "$ISSUER" --signature "$3.envelope" --bundle "$3" "$2" ;;
    *) run_logged "${old[@]}" "$cosign2" verify-blob-attestation --new-bundle-format --trusted-root "$TRUSTED_ROOT" "${attestation[@]}" --certificate-identity "$1" --certificate-oidc-issuer "$ISSUER" --bundle "$3" "$2" ;;
  esac
}
verify_sigstore_go_image() { run_logged "$sigstore_go" -trustedrootJSONpath "$TRUSTED_ROOT" -expectedSAN "$1" -expectedIssuer "$ISSUER" -artifact-digest "${2##*:}" "$3"; }
verify_sigstore_go_attestation() { verify_sigstore_go_image "$@"; }
verify_sigstore_go_blob() { run_logged "$sigstore_go" -trustedrootJSONpath "$TRUSTED_ROOT" -expectedSAN "$1" -expectedIssuer "$ISSUER" -artifact "$2" "$3"; }
verify_sigstore_go_blob_attestation() { verify_sigstore_go_blob "$@"; }
verify_sigstore_python_blob() { run_logged "$sigstore_python" --trust-config "$trust_config" verify identity --offline --cert-identity "$1" --cert-oidc-issuer "$ISSUER" --bundle "$3" "$2"; }
verify_sigstore_python_blob_attestation() { verify_sigstore_python_blob "$@"; }
verify_sigstore_python_attestation() { verify_sigstore_python_blob "$1" "${2##*@}" "$3"; }
verify_sigstore_js_blob() { run_logged "${js[@]}" verify --trusted-root "$TRUSTED_ROOT" --identity "$1" --issuer "$ISSUER" --bundle "$3" "$2"; }
verify_sigstore_js_blob_attestation() { verify_sigstore_js_blob "$@"; }
verify_sigstore_js_image() { verify_sigstore_js_blob "$1" "${2##*@}" "$3"; }
verify_sigstore_js_attestation() { verify_sigstore_js_image "$@"; }
for verifier in "${verifiers[@]}"; do # an index is signed and judged as an image is
  if declare -F "verify_${verifier}_image" > /dev/null; then eval "verify_${verifier}_index() { verify_${verifier}_image \"\$@\"; }"; fi
done
for signer in "${signers[@]}"; do
  if declare -F "sign_${signer}_image" > /dev/null; then eval "sign_${signer}_index() { sign_${signer}_image \"\$@\"; }"; fi
done

# Why a cell is empty, on standard output; nothing where it must hold.
no_signer() { # no_signer SIGNER THING
  case $1/$2 in
    sigstore_*/image | sigstore_*/index | sigstore_*/attestation) echo "sigstore-python and sigstore-js sign files only" ;;
    sigstore_js/blob_attestation) [ "$REKOR_VERSION" = v1 ] || echo "sigstore-js asks Rekor v2 for an entry of kind dsse, which Rekor v2 takes no more" ;;
    keyless_legacy/blob_attestation) echo "keyless writes a file's attestation as a bundle only" ;;
    *_legacy/* | cosign2/*) [ "$REKOR_VERSION" = v1 ] || echo "the old formats have no place for an entry of Rekor v2" ;;
  esac
}
no_verifier() { # no_verifier SIGNER VERIFIER THING
  case $1/$2/$3 in
    *legacy/sigstore_* | cosign2/sigstore_*) echo "sigstore-go, sigstore-python and sigstore-js read bundles, not the old formats" ;;
    */sigstore_python/image | */sigstore_python/index) echo "sigstore-python wants a name in the statement's subject; cosign's image signature has none" ;;
    cosign/sigstore_python/*attestation) echo "sigstore-python reads statements of v1; cosign 3 writes v0.1" ;;
    *legacy/* | cosign2/*) ;;
    */cosign2/image | */cosign2/index) echo "cosign 2.5 looks for no bundle as an image's signature" ;;
    */cosign2/*) [ "$REKOR_VERSION" = v1 ] || echo "cosign 2.5 does not know Rekor v2" ;;
  esac
}

# Runs as many at a time as there are cores, and one more that waits for an answer.
spawn() {
  while [ "$(jobs -rp | wc -l)" -ge "${CELL_JOBS:-$(($(nproc) + 1))}" ]; do wait -n; done
  "$@" &
}

matrix_sign() { # matrix_sign WHERE WHAT SIGNER THING TARGET OUT HOW: one signature; OUT.ok is there when it is made
  local where=$1 what=$2 signer=$3 thing=$4 target=$5 out=$6 how=$7 flags=()
  sign_or_note "$where" "$what" "${signer//_/-}" "sign_${signer}_$thing" "$target" "$out" || return
  case $thing/$signer in
    blob* | */*legacy | */cosign2) ;;
    *) # its bundle, by a reader that is not ours; cosign describes it wrongly in a fallback index
      [ "$thing" != attestation ] || flags=(--predicate-type "$predicate_type")
      [ "$signer/$how" != cosign/tag ] && [ "$how" != api-unfaithful ] || flags+=(--any-descriptor)
      run_logged python3 "$here/fetch_bundle.py" "${flags[@]}" "$target" "$out" ||
        { note "$where" "$what" "${signer//_/-} stores" FAIL "$(said "$last")"; } ;;
  esac
  touch "$out.ok"
}

listed() { # listed WHERE WHAT IMAGE HOW: another client of registries sees what kind of thing was attached
  local where=$1 what=$2 who="keyless -> oras discover"
  if [ "$4" = api-unfaithful ]; then note "$where" "$what" "$who" empty "this registry does not list the manifest's artifactType"
  elif run_logged "$oras" discover --plain-http --distribution-spec "v1.1-referrers-$4" --format json "$3" &&
    grep -q '"artifactType": "application/vnd.dev.sigstore.bundle.v0.3+json"' "$last"; then note "$where" "$what" "$who" PASS "listed with the bundle's artifactType"
  else note "$where" "$what" "$who" FAIL "listed as: $(grep -m1 artifactType "$last" || said "$last")"; fi
}

matrix_row() { # matrix_row WHERE SIGNER THING TARGET-MAKER REGISTRY-NAME HOST HOW: signs, then judges with every verifier
  local where=$1 signer=$2 thing=$3 name=$4 host=$5 how=$6 what=${3//_/ } target out verifier reason
  what=${what/blob attestation/blob\'s attestation} what=${what/#attestation/image\'s attestation}${name:+, $name}
  reason=$(no_signer "$signer" "$thing")
  if [ -n "$reason" ]; then
    for verifier in "${verifiers[@]}"; do note "$where" "$what" "${signer//_/-} -> ${verifier//_/-}" empty "$reason"; done
    return
  fi
  out=$work/made/$signer.$thing.$how${host//[^0-9]/_}.${where//[^a-z0-9]/_}
  case $thing in
    image | attestation) target=$(push_image "$host/matrix/$signer/$thing") ;;
    index) target=$(push_index "$host/matrix/$signer/$thing") ;;
    *) target=$out.file; { cat "$repo/LICENSE"; echo "$out $(date +%s%N)"; } > "$target" ;;
  esac
  [ -n "$target" ] || { note "$where" "$what" "crane push for ${signer//_/-}" FAIL "no image"; return; }
  matrix_sign "$where" "$what" "$signer" "$thing" "$target" "$out" "$how" && [ "$signer/$thing" = keyless/image ] && listed "$where" "$what" "$target" "$how"
  for verifier in "${verifiers[@]}"; do
    reason=$(no_verifier "$signer" "$verifier" "$thing")
    if [ -n "$reason" ]; then note "$where" "$what" "${signer//_/-} -> ${verifier//_/-}" empty "$reason"
    elif [ -e "$out.ok" ]; then cell "$where" "$what" "${signer//_/-}" "$verifier" "$thing" "$target" "$out" "$signer"
    else note "$where" "$what" "${signer//_/-} -> ${verifier//_/-}" FAIL "not signed"; fi
  done
}

matrix_cells() { # matrix_cells WHERE
  local where=$1 registry name host how signer thing
  mkdir -p "$work/made"
  matrix_files
  for signer in "${signers[@]}"; do
    for thing in blob blob_attestation; do spawn matrix_row "$where" "$signer" $thing "" "" file; done
    for registry in "${registries[@]}"; do
      read -r how host name <<< "$registry"
      for thing in image index attestation; do spawn matrix_row "$where" "$signer" $thing "$name" "$host" "$how"; done
    done
  done
  wait
}
