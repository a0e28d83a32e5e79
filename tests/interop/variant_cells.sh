# shellcheck shell=bash
# Sourced by run.sh and stack.sh, after matrix.sh: the ways in which cosign stores what it signs, beside its usual two.
# Each is verified by ours, also with another identity, and the other way round where ours can write it.

# The signature's other places and shapes. Needs Rekor v1, as every old format does.
variant_cells() { # variant_cells WHERE REGISTRY-NAME HOST
  local where=$1 name=$2 host=$3/variant image what flags
  matrix_files
  variant() { # variant WHAT SIGNER COMMAND...: signs $image, then ours judges it
    local what="$1, $name"
    sign_or_note "$where" "$what" "$2" "${@:3}" "$image" && cell "$where" "$what" "$2" keyless image "$image" "" "$2"
  }
  new() { image=$(push_image "$host/$1") || { note "$where" "$1" "crane push" FAIL "no image"; return 1; }; }

  new docker && variant "old, docker's media types" cosign-legacy "${limit[@]}" env COSIGN_DOCKER_MEDIA_TYPES=1 "$cosign" sign "${legacy_flags[@]}"
  new oci11 && variant "old, as a referrer (OCI 1.1, experimental)" cosign-legacy "${limit[@]}" env COSIGN_EXPERIMENTAL=1 "$cosign" sign "${legacy_flags[@]}" --registry-referrers-mode oci-1-1
  new oci11two && variant "old, as a referrer (OCI 1.1, experimental)" cosign2 "${limit[@]}" env COSIGN_EXPERIMENTAL=1 "${old[@]}" "$cosign2" sign "${old_flags[@]}" --registry-referrers-mode oci-1-1
  # Two signatures under one tag, the first by somebody else.
  if new two && sign_or_note "$where" "old, the second of two, $name" "a stranger" "${limit[@]}" "$cosign" sign "${legacy_flags[@]}" --identity-token "$STRANGER_TOKEN" "$image"; then
    variant "old, the second of two" cosign2 "${limit[@]}" "${old[@]}" "$cosign2" sign "${old_flags[@]}"
  fi
  for flags in legacy new; do
    if [ $flags = legacy ]; then local -a chosen=("${legacy_flags[@]}"); what=old; else local -a chosen=("${new_flags[@]}"); what=bundle; fi
    export COSIGN_REPOSITORY=$3/elsewhere/$flags
    new "elsewhere-$flags" && variant "$what, in COSIGN_REPOSITORY" cosign "${limit[@]}" "$cosign" sign "${chosen[@]}"
    unset COSIGN_REPOSITORY
    new "annotated-$flags" && sign_or_note "$where" "$what, annotated, $name" cosign "${limit[@]}" "$cosign" sign "${chosen[@]}" -a env=prod "$image" || continue
    annotated "$where" "$what, annotated, $name" "$image"
  done
  if new elsewhere-ours; then # ours elsewhere, for cosign
    export COSIGN_REPOSITORY=$3/elsewhere/ours
    sign_or_note "$where" "bundle, in COSIGN_REPOSITORY, $name" keyless keyless_sign_image "$image" &&
      cell "$where" "bundle, in COSIGN_REPOSITORY, $name" keyless cosign image "$image" "" keyless
    unset COSIGN_REPOSITORY
  fi
  # Entries of the kind that the first attestations were logged with.
  if new intoto; then
    what="attestation logged as intoto, $name"
    sign_or_note "$where" "$what" cosign2 "${limit[@]}" "${old[@]}" "$cosign2" attest "${old_flags[@]}" --rekor-entry-type intoto "${attestation[@]}" --predicate "$predicate" "$image" &&
      cell "$where" "$what" cosign2 keyless attestation "$image" "" cosign2
  fi
}

annotated() { # annotated WHERE WHAT IMAGE: asked for, found; asked for with another value, refused with 12
  local verify=("$KEYLESS" verify "${keyless_trust[@]}" --certificate-identity "$IDENTITY" --certificate-oidc-issuer "$ISSUER") status
  run_logged "${verify[@]}" -a env=prod "$3" || { note "$1" "$2" "cosign -> keyless -a" FAIL "exit $?: $(said "$last")"; return; }
  run_logged "${verify[@]}" -a env=prods "$3"; status=$?
  if [ $status = 12 ]; then note "$1" "$2" "cosign -> keyless -a" PASS "0, other value 12"
  else note "$1" "$2" "cosign -> keyless -a" FAIL "another value: exit $status"; fi
}

# A file's signature and certificate in files of their own, and cosign's bundle of old, from the same signature.
detached_cells() { # detached_cells WHERE
  local where=$1 what="signature and certificate in files" file=$work/detached.file verify status
  matrix_files
  { cat "$repo/LICENSE"; date +%s%N; } > "$file"
  sign_or_note "$where" "$what" cosign2 "${limit[@]}" "${old[@]}" "$cosign2" sign-blob "${old_flags[@]}" ${TSA_URL:+--rfc3161-timestamp "$file.timestamp"} \
    --output-signature "$file.sig" --output-certificate "$file.crt" --bundle "$file.old.json" "$file" || return
  verify=("$KEYLESS" verify-blob "${keyless_trust[@]}" --certificate-oidc-issuer "$ISSUER" --signature "$file.sig" --certificate "$file.crt")
  # Nothing says that it was logged, so it is refused until that is waived; and then the timestamp alone tells the time.
  run_logged "${verify[@]}" --certificate-identity "$IDENTITY" "$file"; status=$?
  case $status in
    0 | 2 | 3 | 70) note "$where" "$what" "cosign2 -> keyless, no log" FAIL "nothing says that it was logged: exit $status: $(said "$last")" ;;
    *) note "$where" "$what" "cosign2 -> keyless, no log" PASS "refused, exit $status: $(said "$last")" ;;
  esac
  verify+=(--insecure-ignore-tlog --rfc3161-timestamp "$file.timestamp")
  if ! run_logged "${verify[@]}" --certificate-identity "$IDENTITY" "$file"; then note "$where" "$what" "cosign2 -> keyless, log waived" FAIL "$(said "$last")"; return; fi
  run_logged "${verify[@]}" --certificate-identity "$(other_by_one "$IDENTITY")" "$file"; status=$?
  if [ $status = 12 ]; then note "$where" "$what" "cosign2 -> keyless, log waived" PASS "0, other identity 12"
  else note "$where" "$what" "cosign2 -> keyless, log waived" FAIL "another identity: exit $status"; fi
}
