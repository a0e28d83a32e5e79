# shellcheck shell=bash
# Sourced by run.sh and stack.sh, after matrix.sh: what cosign signed and attested and we moved still verifies with
# cosign and with us, and what we signed and cosign moved still verifies with us.

moved_cells() { # moved_cells WHERE FROM-NAME FROM-HOST TO-NAME TO-HOST
  local where=$1 from=$3 to=$5 what="moved, $2 to $4" signer mover image target
  matrix_files
  for signer in keyless cosign cosign_legacy; do
    [ $signer != cosign_legacy ] || [ "$REKOR_VERSION" = v1 ] || continue
    image=$(push_image "$from/moved/$signer") || { note "$where" "$what" "crane push" FAIL "no image"; continue; }
    sign_or_note "$where" "$what" "${signer//_/-}" "sign_${signer}_image" "$image" && sign_or_note "$where" "$what" "${signer//_/-} attests" "sign_${signer}_attestation" "$image" || continue
    for mover in copied saved_and_loaded saved_loaded_by_cosign copied_by_cosign; do
      moved_why=
      target=$to/moved/$signer.$mover
      moved_$mover $signer "$image" "$target"
      case $?:$moved_why in
        0:) ;;
        *:) note "$where" "$what" "${signer//_/-}, ${mover//_/ }" FAIL "$(said "$last")"; continue ;;
        *) note "$where" "$what" "${signer//_/-}, ${mover//_/ }" empty "$moved_why"; continue ;;
      esac
      moved_judged "$where" "$what" "${signer//_/-}, ${mover//_/ }" keyless "$target@${image#*@}" $signer
      moved_judged "$where" "$what" "${signer//_/-}, ${mover//_/ }" cosign "$target@${image#*@}" $signer
    done
  done
}
moved_judged() { # moved_judged WHERE WHAT WHO VERIFIER IMAGE SIGNER: the signature and the attestation
  cell "$1" "$2: signature" "$3" "$4" image "$5" "" "$6"
  cell "$1" "$2: attestation" "$3" "$4" attestation "$5" "" "$6"
}

# moved_HOW SIGNER IMAGE@DIGEST HOST/NAME
moved_copied() { run_logged "$KEYLESS" copy "$2" "$3:v1"; }
moved_saved_and_loaded() {
  local dir
  dir=$(mktemp -d "$work/saved.XXXXXX")/layout
  run_logged "$KEYLESS" save --dir "$dir" "$2" || return
  run_logged "$KEYLESS" load --dir "$dir" "$3:v1"
}
moved_saved_loaded_by_cosign() {
  local dir
  moved_why="cosign load uploads a bundle's manifest before its blobs, which a registry that checks refuses"
  [ "$1" != cosign_legacy ] || moved_why="cosign save --dir of an image given by digest keeps no old signature that cosign load would find"
  [ "$1" = cosign_legacy ] || return
  dir=$(mktemp -d "$work/saved.XXXXXX")/layout
  run_logged "$cosign" save --dir "$dir" "$2" || return
  run_logged "$KEYLESS" load --dir "$dir" "$3:v1" && moved_why=
}
moved_copied_by_cosign() {
  moved_why="cosign copy leaves bundles behind"
  [ "$1" = cosign_legacy ] || return
  run_logged "$cosign" copy "$2" "$3:v1" && moved_why=
}
