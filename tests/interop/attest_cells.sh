# shellcheck shell=bash
# Sourced after lib.sh: attestations of images and files, ours to the peers and theirs to us.
#
#   image_attestation_cells WHERE REGISTRY-NAME HOST        blob_attestation_cells WHERE
#
# For each predicate type: what we attest cosign verifies, and what cosign attests we verify; both with the
# identity changed by one character, and with another type asked for, which must be refused. What we print of a
# predicate must be the bytes that went in, where cosign keeps them.

attestation_types="slsaprovenance slsaprovenance1 link spdxjson cyclonedx vuln openvex custom https://own.test/type/v1"

# write_predicate TYPE FILE: a predicate that both tools take, with its members in an order of their own.
write_predicate() {
  python3 - "$1" "$2" <<'END'
import json, sys
name, path = sys.argv[1:]
time, builder = "2026-11-23T07:00:00Z", {"id": "https://builder.test"}
source = [{"uri": "git+https://source.test", "digest": {"sha256": "00"}}]
values = {
    "slsaprovenance": {"builder": builder, "buildType": "https://builder.test/t@v1", "invocation": {"configSource": {}}, "materials": source},
    "slsaprovenance1": {"runDetails": {"builder": builder}, "buildDefinition": {"buildType": "https://builder.test/t@v1", "externalParameters": {"ref": "main"}, "resolvedDependencies": source}},
    "link": {"_type": "link", "name": "build", "command": ["make"], "materials": {}, "products": {}, "byproducts": {}, "environment": {}},
    "spdxjson": {"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "name": "app", "dataLicense": "CC0-1.0", "documentNamespace": "https://sbom.test/app", "creationInfo": {"created": time, "creators": ["Tool: test"]}, "packages": []},
    "cyclonedx": {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": [{"type": "library", "name": "x"}]},
    "vuln": {"invocation": {"parameters": None, "uri": "", "event_id": "", "builder.id": ""}, "scanner": {"uri": "pkg:scanner", "version": "1", "db": {"uri": "", "version": ""}, "result": {"high": 0}}, "metadata": {"scanStartedOn": time, "scanFinishedOn": time}},
    "openvex": {"@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://vex.test/1", "author": "a", "timestamp": time, "version": 1, "statements": [{"vulnerability": {"name": "CVE-2026-1"}, "products": [{"@id": "pkg:oci/app"}], "status": "fixed"}]},
}
with open(path, "w") as file:
    file.write("some <text>\n" if name == "custom" else json.dumps(values.get(name, {"z": [1.5, {"b": None}], "a": "é"})))
END
}

keyless_attest_image() { "${limit[@]}" "$KEYLESS" attest "${keyless_sign[@]}" -y --type "$1" --predicate "$2" "$3"; }
cosign_attest_image() { "${limit[@]}" "$cosign" attest --signing-config "$SIGNING_CONFIG" --trusted-root "$TRUSTED_ROOT" --identity-token "$TOKEN" -y --type "$1" --predicate "$2" "$3"; }
keyless_attest_blob() { "${limit[@]}" "$KEYLESS" attest-blob "${keyless_sign[@]}" -y --overwrite --type "$1" --predicate "$2" --bundle "$4" "$3"; }
cosign_attest_blob() { "${limit[@]}" "$cosign" attest-blob --signing-config "$SIGNING_CONFIG" --trusted-root "$TRUSTED_ROOT" --identity-token "$TOKEN" -y --type "$1" --predicate "$2" --bundle "$4" "$3"; }

# verify_PROGRAM_image_attestation IDENTITY IMAGE TYPE; verify_PROGRAM_blob_attestation IDENTITY FILE BUNDLE TYPE
verify_keyless_image_attestation() { run_logged "$KEYLESS" verify-attestation "${keyless_trust[@]}" --certificate-identity "$1" --certificate-oidc-issuer "$ISSUER" --type "$3" "$2"; }
verify_cosign_image_attestation() { run_logged "$cosign" verify-attestation --trusted-root "$TRUSTED_ROOT" --certificate-identity "$1" --certificate-oidc-issuer "$ISSUER" --type "$3" "$2"; }
verify_keyless_blob_attestation() { run_logged "$KEYLESS" verify-blob-attestation "${keyless_trust[@]}" --certificate-identity "$1" --certificate-oidc-issuer "$ISSUER" --type "$4" --bundle "$3" "$2"; }
verify_cosign_blob_attestation() { run_logged "$cosign" verify-blob-attestation --trusted-root "$TRUSTED_ROOT" --certificate-identity "$1" --certificate-oidc-issuer "$ISSUER" --type "$4" --bundle "$3" "$2"; }
verify_sigstore_go_blob_attestation() { verify_sigstore_go_blob "$@"; }
verify_sigstore_python_blob_attestation() { verify_sigstore_python_blob "$@"; }

# refuses_other_type WHERE WHAT WHO VERIFIER KIND ARGUMENT...: with the last argument, the type, changed to another.
refuses_other_type() {
  local where=$1 what=$2 who=$3 verifier=$4 kind=$5 status
  shift 5
  "verify_${verifier}_$kind" "$IDENTITY" "${@:1:$#-1}" https://other.test/type; status=$?
  if [ $status = 0 ]; then note "$where" "$what" "$who" FAIL "accepts another type"
  elif [ "$verifier" = keyless ] && [ $status != 10 ]; then note "$where" "$what" "$who" FAIL "another type: exit $status, not 10: $(said "$last")"
  else note "$where" "$what" "$who" PASS "another type is refused, $status"; fi
}

# same_predicate WHERE WHAT WHO FILE COMMAND...: what is printed is what went in.
same_predicate() {
  local where=$1 what=$2 who=$3 file=$4
  shift 4
  "${limit[@]}" "$@" --output predicate > "$work/printed" 2> "$work/printed.log" < /dev/null
  if cmp -s <(cat "$file"; echo) "$work/printed"; then note "$where" "$what" "$who" PASS "the predicate's bytes"
  else note "$where" "$what" "$who" FAIL "other bytes: $(head -c 100 "$work/printed" | tr '\n\t' '  ')"; fi
}

image_attestation_cells() { # image_attestation_cells WHERE REGISTRY-NAME HOST
  local where=$1 host=$3 type what predicate=$work/predicate image verifier
  for type in $attestation_types; do
    what="image attestation ${type##*//}, $2"
    write_predicate "$type" "$predicate"
    image=$(push_image "$host/matrix/attested") || { note "$where" "$what" "crane push" FAIL "no image"; return; }
    if sign_or_note "$where" "$what" keyless keyless_attest_image "$type" "$predicate" "$image"; then
      for verifier in keyless cosign; do
        cell "$where" "$what" keyless $verifier image_attestation "$image" "$type"
        refuses_other_type "$where" "$what" "keyless -> $verifier" $verifier image_attestation "$image" "$type"
      done
      [ "$type" = custom ] || same_predicate "$where" "$what" "keyless -> keyless" "$predicate" "$KEYLESS" \
        verify-attestation "${keyless_trust[@]}" --certificate-identity "$IDENTITY" --certificate-oidc-issuer "$ISSUER" --type "$type" "$image"
    fi
    image=$(push_image "$host/matrix/attested-theirs") || { note "$where" "$what" "crane push" FAIL "no image"; return; }
    if sign_or_note "$where" "$what" cosign cosign_attest_image "$type" "$predicate" "$image"; then
      cell "$where" "$what" cosign keyless image_attestation "$image" "$type"
      refuses_other_type "$where" "$what" "cosign -> keyless" keyless image_attestation "$image" "$type"
    fi
  done
}

blob_attestation_cells() { # blob_attestation_cells WHERE
  local where=$1 type what predicate=$work/predicate blob=$work/attested.$RANDOM verifier
  { cat "$repo/LICENSE"; date +%s%N; } > "$blob"
  trust_config=$work/trust_config.json
  client_trust_config "$TRUSTED_ROOT" "$SIGNING_CONFIG" > "$trust_config"
  for type in $attestation_types; do
    what="blob attestation ${type##*//}"
    write_predicate "$type" "$predicate"
    if sign_or_note "$where" "$what" keyless keyless_attest_blob "$type" "$predicate" "$blob" "$blob.ours.json"; then
      for verifier in keyless cosign; do
        cell "$where" "$what" keyless $verifier blob_attestation "$blob" "$blob.ours.json" "$type"
        refuses_other_type "$where" "$what" "keyless -> $verifier" $verifier blob_attestation "$blob" "$blob.ours.json" "$type"
      done
      for verifier in sigstore_go sigstore_python; do
        cell "$where" "$what" keyless $verifier blob_attestation "$blob" "$blob.ours.json" "$type"
      done
      [ "$type" = custom ] || same_predicate "$where" "$what" "keyless -> keyless" "$predicate" "$KEYLESS" \
        verify-blob-attestation "${keyless_trust[@]}" --certificate-identity "$IDENTITY" --certificate-oidc-issuer "$ISSUER" --type "$type" --bundle "$blob.ours.json" "$blob"
    fi
    if sign_or_note "$where" "$what" cosign cosign_attest_blob "$type" "$predicate" "$blob" "$blob.theirs.json"; then
      cell "$where" "$what" cosign keyless blob_attestation "$blob" "$blob.theirs.json" "$type"
      refuses_other_type "$where" "$what" "cosign -> keyless" keyless blob_attestation "$blob" "$blob.theirs.json" "$type"
    fi
  done
}
