# shellcheck shell=bash
# Sourced by run.sh and stack.sh, after matrix.sh: what cosign signed and attested and we moved still verifies with
# cosign and with us, and what we signed and cosign moved still verifies with both.

moved_cells() { # moved_cells WHERE FROM-NAME FROM-HOST TO-NAME TO-HOST
  local where=$1 from=$3 to=$5 what="moved, $2 to $4" signer mover image target
  matrix_files
  for signer in keyless keyless_legacy cosign cosign_legacy; do
    [[ $signer != *legacy ]] || [ "$REKOR_VERSION" = v1 ] || continue
    image=$(push_image "$from/moved/$REKOR_VERSION/$signer") || { note "$where" "$what" "crane push" FAIL "no image"; continue; }
    sign_or_note "$where" "$what" "${signer//_/-}" "sign_${signer}_image" "$image" && sign_or_note "$where" "$what" "${signer//_/-} attests" "sign_${signer}_attestation" "$image" || continue
    for mover in copied saved_and_loaded saved_by_cosign loaded_by_cosign copied_by_cosign; do
      target=$to/moved/$REKOR_VERSION/$signer.$mover
      case $mover/$signer in
        loaded_by_cosign/*_legacy | copied_by_cosign/*_legacy | copied/* | saved_*) ;;
        loaded*) note "$where" "$what" "${signer//_/-}, ${mover//_/ }" empty "cosign load uploads a bundle's manifest before its blobs, which registries that check refuse"; continue ;;
        *) note "$where" "$what" "${signer//_/-}, ${mover//_/ }" empty "cosign copy leaves bundles behind"; continue ;;
      esac
      "moved_$mover" "$image" "$target" || { note "$where" "$what" "${signer//_/-}, ${mover//_/ }" FAIL "$(said "$last")"; continue; }
      moved_judged "$where" "$what" "${signer//_/-}, ${mover//_/ }" keyless "$target@${image#*@}" $signer
      moved_judged "$where" "$what" "${signer//_/-}, ${mover//_/ }" cosign "$target@${image#*@}" $signer
    done
  done
}
moved_judged() { # moved_judged WHERE WHAT WHO VERIFIER IMAGE SIGNER: the signature and the attestation
  cell "$1" "$2: signature" "$3" "$4" image "$5" "" "$6"
  cell "$1" "$2: attestation" "$3" "$4" attestation "$5" "" "$6"
}

# moved_HOW IMAGE@DIGEST HOST/NAME
moved_copied() { run_logged "$KEYLESS" copy "$1" "$2:v1"; }
moved_copied_by_cosign() { run_logged "$cosign" copy "$1" "$2:v1"; }
moved_saved_and_loaded() { moved_by "$KEYLESS" "$KEYLESS" "$@"; }
moved_saved_by_cosign() { moved_by "$cosign" "$KEYLESS" "$@"; }
moved_loaded_by_cosign() { moved_by "$KEYLESS" "$cosign" "$@"; }
moved_by() { # moved_by SAVER LOADER IMAGE@DIGEST HOST/NAME
  local dir
  dir=$(mktemp -d "$work/saved.XXXXXX")/layout
  run_logged "$1" save --dir "$dir" "$3" && run_logged "$2" load --dir "$dir" "$4:v1"
}
