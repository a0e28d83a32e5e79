# shellcheck shell=bash disable=SC2154
# Sourced by run.sh, after matrix.sh: images that are shown, copied, saved, loaded and cleaned, by ours and by cosign, and
# bundles made anew. What one of us moved, the other must still verify, also with another identity.
#
# The caller sets what matrix.sh asks for. An image carries a signature of ours and an attestation of cosign; with Rekor v1
# a second one carries cosign's older formats.

around_cells() { # around_cells WHERE
  local where=$1 from to
  matrix_files
  for from in "${registries[@]}"; do
    around_image "$where" "$from" new || continue
    around_shown "$where" "$from"
    for to in "${registries[@]}"; do around_copied "$where" "$from" "$to"; done
    around_saved "$where" "$from"
    around_cleaned "$where" "$from"
    if [ "$REKOR_VERSION" = v1 ]; then
      around_image "$where" "$from" old || continue
      for to in "${registries[@]}"; do around_copied "$where" "$from" "$to"; done
      around_saved "$where" "$from"
      around_cleaned "$where" "$from"
    fi
    around_index "$where" "$from"
  done
  if [ "$REKOR_VERSION" = v1 ]; then around_bundles "$where"; fi
  around_memory "$where"
}

# shellcheck disable=SC2086
named() { set -- $1; how=$1 host=$2; shift 2; name=$*; } # named "HOW HOST NAME"
fresh() { echo "around/$BASHPID/$RANDOM"; } # a new name in a registry
folder() { echo "$work/layout.$BASHPID.$RANDOM"; }
passes() { note "$1" "$2" "$3" PASS "${4:-as it should}"; }
fails() { note "$1" "$2" "$3" FAIL "$(said "$last")"; }

around_image() { # around_image WHERE REGISTRY new|old: sets $source, an image with a signature and an attestation, and $kind
  local how host name
  named "$2"
  kind=$3
  source=$(push_image "$host/$(fresh)") || { note "$1" "$kind, $name" "crane push" FAIL "no image"; return 1; }
  case $kind in
    new) sign_or_note "$1" "$kind, $name" keyless sign_keyless_image "$source" &&
      sign_or_note "$1" "$kind, $name" cosign sign_cosign_attestation "$source" ;;
    old) sign_or_note "$1" "$kind, $name" cosign-legacy sign_cosign_legacy_image "$source" &&
      sign_or_note "$1" "$kind, $name" cosign-legacy sign_cosign_legacy_attestation "$source" ;;
  esac
}

# The image at its new place: both verify it, and the attestation.
arrived() { # arrived WHERE WHAT WHO IMAGE
  cell "$1" "$2" "$3" keyless image "$4" "" keyless
  cell "$1" "$2" "$3" cosign image "$4" "" keyless
  cell "$1" "$2, attestation" "$3" cosign attestation "$4" "" cosign
  if "$KEYLESS" verify-attestation --help > /dev/null 2>&1; then cell "$1" "$2, attestation" "$3" keyless attestation "$4" "" cosign; fi
}

around_copied() { # around_copied WHERE FROM TO
  local how host name what there
  named "$2"; what="$kind, $name to"
  named "$3"; what="$what $name"
  there=$host/$(fresh):copied
  if run_logged "$KEYLESS" copy "$source" "$there"; then arrived "$1" "$what" "keyless copy" "$there"; else fails "$1" "$what" "keyless copy"; fi
  if run_logged "$KEYLESS" copy -f "$source" "$there" && grep -q ' 0 sent (0 bytes)' "$last"; then passes "$1" "$what" "keyless copy, again" "no blob is sent"
  else fails "$1" "$what" "keyless copy, again"; fi
  [ "$kind" = new ] || return
  # The list of clients is as it should be even where the source's, of cosign, is not.
  if run_logged "$oras" discover --plain-http --distribution-spec "v1.1-referrers-$how" --format json "${there%:*}@${source#*@}" &&
    [ "$(grep -c '"artifactType": "application/vnd.dev.sigstore.bundle.v0.3+json"' "$last")" = 2 ]; then
    passes "$1" "$what" "keyless copy -> oras discover" "both by the bundle's artifactType"
  else fails "$1" "$what" "keyless copy -> oras discover"; fi
}

around_saved() { # around_saved WHERE FROM
  local how host name what there to saver folder verify=(--certificate-identity "$IDENTITY" --certificate-oidc-issuer "$ISSUER")
  named "$2"; what="$kind, $name"
  for saver in keyless cosign; do
    folder=$(folder)
    run_logged "${!saver:-$KEYLESS}" save --dir "$folder" "$source" || { fails "$1" "$what" "$saver save"; continue; }
    if [ "$kind" = new ]; then local -a flags=(--trusted-root "$TRUSTED_ROOT"); else local -a flags=(--new-bundle-format=false); fi
    if run_logged "${old[@]}" "$cosign" verify "${flags[@]}" "${verify[@]}" --local-image "$folder"; then passes "$1" "$what" "$saver save -> cosign verify --local-image"
    elif [ "$kind" = old ]; then note "$1" "$what" "$saver save -> cosign verify --local-image" empty "cosign wants old signatures' roots from its own cache there: $(said "$last")"
    else fails "$1" "$what" "$saver save -> cosign verify --local-image"; fi
    if run_logged "$KEYLESS" verify "${keyless_trust[@]}" "${verify[@]}" --local-image "$folder"; then passes "$1" "$what" "$saver save -> keyless verify --local-image"
    else fails "$1" "$what" "$saver save -> keyless verify --local-image"; fi
    for to in "${registries[@]}"; do
      named "$to"
      there=$host/$(fresh):loaded
      if run_logged "$KEYLESS" load --dir "$folder" "$there"; then arrived "$1" "$what to $name" "$saver save, keyless load" "$there"
      else fails "$1" "$what to $name" "$saver save, keyless load"; fi
      [ $saver = keyless ] || continue
      there=$host/$(fresh):loaded
      if run_logged "$cosign" load --dir "$folder" "$there"; then arrived "$1" "$what to $name" "keyless save, cosign load" "$there"
      elif [ "$kind" = new ] && grep -q MANIFEST_BLOB_UNKNOWN "$last"; then
        note "$1" "$what to $name" "keyless save, cosign load" empty "cosign sends a bundle's manifest before its blobs, which registries refuse; what it saves itself too"
      else fails "$1" "$what to $name" "keyless save, cosign load"; fi
    done
  done
  # oras keeps what refers to an image in the list of its layout.
  [ "$kind" = new ] && [ "$how" = api ] || return 0
  folder=$(folder) there=$host/$(fresh):loaded
  if run_logged "$oras" cp -r --from-plain-http --to-oci-layout "$source" "$folder:app" && run_logged "$KEYLESS" load --dir "$folder" "$there"; then
    arrived "$1" "$what" "oras cp -r, keyless load" "$there"
  else fails "$1" "$what" "oras cp -r, keyless load"; fi
}

verify_cosign_local() { run_logged "$cosign" verify --trusted-root "$TRUSTED_ROOT" --certificate-identity "$IDENTITY" --certificate-oidc-issuer "$ISSUER" --local-image "$1"; }

around_shown() { # around_shown WHERE FROM
  local how host name what type
  named "$2"; what="$kind, $name"
  if run_logged "$KEYLESS" tree "$source" && [ "$(grep -c ' bundle, ' "$last")" = 2 ] && grep -q 'not verified' "$last"; then passes "$1" "$what" "keyless tree"; else fails "$1" "$what" "keyless tree"; fi
  for type in signature attestation sbom digest; do
    "$KEYLESS" triangulate --type $type "$source" > "$work/ours" 2> /dev/null; "$cosign" triangulate --type $type "$source" > "$work/theirs" 2> /dev/null
    if cmp -s "$work/ours" "$work/theirs"; then passes "$1" "$what" "triangulate --type $type: keyless = cosign"; else note "$1" "$what" "triangulate --type $type: keyless = cosign" FAIL "$(cat "$work/ours")"; fi
  done
  "$KEYLESS" -q download attestation "$source" > "$work/ours"; "$cosign" download attestation --predicate-type slsaprovenance1 "$source" > "$work/theirs" 2> /dev/null
  if python3 -c 'import json, sys; a, b = (json.load(open(p)) for p in sys.argv[1:]); sys.exit(a != b)' "$work/ours" "$work/theirs" 2> /dev/null; then
    passes "$1" "$what" "download attestation: keyless = cosign" "equal as JSON values"
  else note "$1" "$what" "download attestation: keyless = cosign" FAIL "$(head -c 150 "$work/ours")"; fi
}

# answered ANSWER COMMAND...: as run_logged, the command on a terminal, where somebody answers what it asks.
answered() {
  log_number=$((log_number + 1)) last=$work/out.$BASHPID.$log_number
  "${limit[@]}" python3 - "$@" > "$last" 2>&1 <<'END'
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[2], sys.argv[2:])
seen, answered = b"", False
while True:
    try:
        piece = os.read(terminal, 4096)
    except OSError:
        break
    if not piece:
        break
    seen += piece
    if b"[y/N]" in seen and not answered:
        answered = os.write(terminal, sys.argv[1].encode() + b"\n") > 0
os.write(1, seen)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) if answered else 99)
END
}

around_cleaned() { # around_cleaned WHERE FROM: the last that is done with $source
  local how host name what status
  named "$2"; what="$kind, $name"
  answered n "$KEYLESS" clean "$source"; status=$?
  if [ $status = 2 ] && verify_cosign_image "$IDENTITY" "$source"; then passes "$1" "$what" "keyless clean, answered n" "2, and it verifies"
  else note "$1" "$what" "keyless clean, answered n" FAIL "exit $status: $(said "$last")"; fi
  answered y "$KEYLESS" clean "$source" || { fails "$1" "$what" "keyless clean"; return; }
  verify_cosign_image "$IDENTITY" "$source"; status=$?
  if [ $status = 10 ] && "$crane" manifest "$source" > /dev/null 2>&1; then passes "$1" "$what" "keyless clean -> cosign verify" "10, and the image is there"
  else note "$1" "$what" "keyless clean -> cosign verify" FAIL "exit $status: $(said "$last")"; fi
  if run_logged "$cosign" tree "$source" && ! grep -q '└──' "$last"; then passes "$1" "$what" "keyless clean -> cosign tree" "nothing is left"; else fails "$1" "$what" "keyless clean -> cosign tree"; fi
}

# An index and its images, each signed: copied, saved and loaded, everything verifies; then all of it is cleaned.
around_index() { # around_index WHERE FROM
  local how host name what index image folder there to mover good digest
  named "$2"; what="index, $name"
  index=$(push_index "$host/$(fresh)") || { note "$1" "$what" "crane push" FAIL "no index"; return; }
  sign_or_note "$1" "$what" "cosign --recursive" cosign_sign_image --recursive "$index" || return
  folder=$(folder)
  run_logged "$KEYLESS" save --dir "$folder" "$index" || { fails "$1" "$what" "keyless save"; return; }
  for to in "${registries[@]}"; do
    named "$to"
    for mover in copy load; do
      there=$host/$(fresh)
      case $mover in
        copy) run_logged "$KEYLESS" copy "$index" "$there:moved" ;;
        load) run_logged "$KEYLESS" load --dir "$folder" "$there:moved" ;;
      esac || { fails "$1" "$what to $name" "keyless $mover"; continue; }
      good=0
      for digest in "${index#*@}" $(children "$index"); do
        image=$there@$digest
        verify_cosign_image "$IDENTITY" "$image" && verify_keyless_image "$IDENTITY" "$image" && good=$((good + 1))
      done
      if [ $good = 3 ]; then passes "$1" "$what to $name" "keyless $mover -> cosign and keyless, each" "the index and both its images"
      else note "$1" "$what to $name" "keyless $mover -> cosign and keyless, each" FAIL "$good of 3 verify: $(said "$last")"; fi
    done
  done
  if run_logged "$KEYLESS" verify "${keyless_trust[@]}" --certificate-identity "$IDENTITY" --certificate-oidc-issuer "$ISSUER" --local-image "$folder"; then
    passes "$1" "$what" "keyless save -> keyless verify --local-image"
  else fails "$1" "$what" "keyless save -> keyless verify --local-image"; fi
  if verify_cosign_local "$folder"; then passes "$1" "$what" "keyless save -> cosign verify --local-image"
  else note "$1" "$what" "keyless save -> cosign verify --local-image" empty "cosign knows no index there (cosign#4937): $(said "$last")"; fi
  run_logged "$KEYLESS" clean -f --recursive "$index" || { fails "$1" "$what" "keyless clean --recursive"; return; }
  good=0
  for digest in "${index#*@}" $(children "$index"); do verify_cosign_image "$IDENTITY" "${index%@*}@$digest" || good=$((good + 1)); done
  if [ $good = 3 ]; then passes "$1" "$what" "keyless clean --recursive -> cosign" "the index and both its images stay, unsigned"
  else note "$1" "$what" "keyless clean --recursive -> cosign" FAIL "$((3 - good)) of 3 still verify"; fi
}

# Bundles of v0.3 out of what cosign wrote before.
around_bundles() { # around_bundles WHERE
  local where=$1 what="blob, cosign's older bundle" file=$work/around.file verifier made status
  { cat "$repo/LICENSE"; date +%s%N; } > "$file"
  sign_or_note "$where" "$what" cosign-legacy sign_cosign_legacy_blob "$file" "$file.old.json" || return
  for made in create upgrade; do
    case $made in
      create) run_logged "$KEYLESS" bundle create --artifact "$file" --bundle "$file.old.json" --rekor-url "$REKOR_URL" --trusted-root "$TRUSTED_ROOT" --out "$file.create.json" ;;
      upgrade) run_logged "$KEYLESS" bundle upgrade "$file.old.json" --rekor-url "$REKOR_URL" --trusted-root "$TRUSTED_ROOT" --out "$file.upgrade.json" ;;
    esac
    status=$?
    if [ $status != 0 ]; then
      # Without a timestamp the log's promise tells the time; with one, cosign keeps it in a file of its own.
      fails "$where" "$what" "keyless bundle $made"; continue
    fi
    for verifier in keyless cosign sigstore_go sigstore_python; do cell "$where" "$what" "keyless bundle $made" $verifier blob "$file" "$file.$made.json" keyless; done
  done
}

# A layer much larger than what the program may take: it passes through.
around_memory() { # around_memory WHERE
  local how host name from to image peak mover folder
  folder=$(folder)
  named "${registries[0]}"; from=$host
  named "${registries[-1]}"; to=$host
  head -c 200000000 /dev/urandom > "$work/large"
  tar -C "$work" -cf "$work/large.tar" large && rm "$work/large"
  image=$from/$(fresh):large
  run_logged "$crane" append --oci-empty-base -f "$work/large.tar" -t "$image" || { fails "$1" "200 MB layer" "crane push"; return; }
  for mover in copy save load; do
    case $mover in
      copy) set -- "$1" "$KEYLESS" copy "$image" "$to/$(fresh):large" ;;
      save) set -- "$1" "$KEYLESS" save --dir "$folder" "$image" ;;
      load) set -- "$1" "$KEYLESS" load --dir "$folder" "$to/$(fresh):large" ;;
    esac
    peak=$(python3 -c 'import resource, subprocess, sys; code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024); sys.exit(code)' "${@:2}") || { note "$1" "200 MB layer" "keyless $mover" FAIL "exit $?"; continue; }
    if [ "$peak" -le "${AROUND_PEAK:-64}" ]; then passes "$1" "200 MB layer" "keyless $mover" "peak $peak MB"; else note "$1" "200 MB layer" "keyless $mover" FAIL "peak $peak MB"; fi
  done
  rm -rf "$folder" "$work/large.tar"
}
