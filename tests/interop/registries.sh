#!/bin/bash
# Registries of several kinds, and what is said to them, beside cosign: the same flags, the same stored credentials, the
# same COSIGN_REPOSITORY, in both directions.
#
#   KEYLESS=target/release/keyless PEERS=.peers tests/interop/registries.sh
#
# {docker-registry without the referrers API, crane's registry, which lists unfaithfully, the sandbox's} as they are;
# docker-registry with a certificate of an authority of its own that lets in only who has a client certificate of it;
# docker-registry that wants a password. Needs openssl. All of it is on loopback. Set KEEP=1 to keep the working folder.
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# expect WHERE WHAT WHO STATUS COMMAND...: one cell; STATUS is 0, a number, or ! for any failure.
expect() {
  local where=$1 what=$2 who=$3 wanted=$4 status
  shift 4
  run_logged "$@"; status=$?
  if [ "$status" = "$wanted" ] || { [ "$wanted" = ! ] && [ "$status" != 0 ]; }; then note "$where" "$what" "$who" PASS "exit $status"
  else note "$where" "$what" "$who" FAIL "exit $status, not $wanted: $(said "$last")"; fi
}

keyless_verify() { "$KEYLESS" verify --certificate-identity "$IDENTITY" --certificate-oidc-issuer "$ISSUER" "$@"; }
cosign_sign() { "$cosign" sign --signing-config "$SIGNING_CONFIG" --trusted-root "$TRUSTED_ROOT" --identity-token "$TOKEN" -y "$@"; }
cosign_verify() { "$cosign" verify --trusted-root "$TRUSTED_ROOT" --certificate-identity "$IDENTITY" --certificate-oidc-issuer "$ISSUER" "$@"; }
export -f keyless_verify cosign_sign cosign_verify
in_bash=(bash -c '"$@"' -) # what the functions above are called by

repository_cells() { # repository_cells REGISTRY-NAME HOST
  local where=$1 host=$2 ours theirs what="COSIGN_REPOSITORY"
  ours=$(push_image "$host/there/ours") && theirs=$(push_image "$host/there/theirs") || { note "$where" "$what" "crane push" FAIL "no image"; return; }
  export COSIGN_REPOSITORY=$host/kept/elsewhere
  expect "$where" "$what" "keyless signs" 0 "$KEYLESS" sign "$ours"
  expect "$where" "$what" "keyless -> cosign" 0 "${in_bash[@]}" cosign_verify "$ours"
  expect "$where" "$what" "keyless -> keyless" 0 "${in_bash[@]}" keyless_verify "$ours"
  expect "$where" "$what" "cosign signs" 0 "${in_bash[@]}" cosign_sign "$theirs"
  expect "$where" "$what" "cosign -> keyless" 0 "${in_bash[@]}" keyless_verify "$theirs"
  expect "$where" "$what" "cosign -> cosign" 0 "${in_bash[@]}" cosign_verify "$theirs"
  unset COSIGN_REPOSITORY
  expect "$where" "$what, not given" "keyless -> cosign" 10 "${in_bash[@]}" cosign_verify "$ours"
  expect "$where" "$what, not given" "cosign -> keyless" 10 "${in_bash[@]}" keyless_verify "$theirs"
}

tls_cells() { # tls_cells HOST: the registry behind it has $work/tls/ca.crt
  local host=$1 where="docker-registry, TLS" image name store ca=$work/tls/ca.crt
  local tls=(--registry-cacert "$ca" --registry-client-cert "$work/tls/client.crt" --registry-client-key "$work/tls/client.key")
  store=$docker_registry_host # crane has no option for client certificates: pushed through the same storage
  name=tls/app image=$(push_image "$store/$name") || { note "$where" push crane FAIL "no image"; return; }
  image=$host/${image#*/}
  expect "$where" "CA and client certificate" "keyless signs" 0 "$KEYLESS" sign "${tls[@]}" "$image"
  expect "$where" "CA and client certificate" "keyless -> cosign" 0 "${in_bash[@]}" cosign_verify "${tls[@]}" "$image"
  expect "$where" "CA and client certificate" "keyless -> keyless" 0 "${in_bash[@]}" keyless_verify "${tls[@]}" "$image"
  image=$host/$(push_image "$store/$name" | cut -d/ -f2-)
  expect "$where" "CA and client certificate" "cosign signs" 0 "${in_bash[@]}" cosign_sign "${tls[@]}" "$image"
  expect "$where" "CA and client certificate" "cosign -> keyless" 0 "${in_bash[@]}" keyless_verify "${tls[@]}" "$image"
  expect "$where" "insecure, client certificate" "cosign -> keyless" 0 "${in_bash[@]}" keyless_verify --allow-insecure-registry "${tls[@]:2}" "$image"
  expect "$where" "no client certificate" "cosign -> keyless" 40 "${in_bash[@]}" keyless_verify "${tls[@]:0:2}" "$image"
  expect "$where" "no CA" "cosign -> keyless" 40 "${in_bash[@]}" keyless_verify "${tls[@]:2}" "$image"
  expect "$where" "another server name" "cosign -> keyless" 40 "${in_bash[@]}" keyless_verify "${tls[@]}" --registry-server-name other.test "$image"
  expect "$where" "its other name" "cosign -> keyless" 0 "${in_bash[@]}" keyless_verify "${tls[@]}" --registry-server-name registry.internal.test "$image"
}

login_cells() { # login_cells HOST: the registry behind it wants ann and correct-horse
  local host=$1 where="docker-registry, password" image
  export DOCKER_CONFIG=$work/docker
  image=$host/$(push_image "$docker_registry_host/login/app" | cut -d/ -f2-)
  expect "$where" "nobody" "keyless signs" 43 "$KEYLESS" sign "$image"
  expect "$where" "a wrong password" "keyless login" 43 "$KEYLESS" login "$host" -u ann -p wrong
  [ -e "$DOCKER_CONFIG/config.json" ] && note "$where" "a wrong password" "keyless login" FAIL "something was written"
  expect "$where" "the password" "keyless login" 0 "$KEYLESS" login "$host" -u ann -p correct-horse
  expect "$where" "stored by keyless" "cosign signs" 0 "${in_bash[@]}" cosign_sign "$image"
  expect "$where" "stored by keyless" "cosign -> keyless" 0 "${in_bash[@]}" keyless_verify "$image"
  expect "$where" "stored by keyless" "crane reads" 0 "$crane" manifest --insecure "$image"
  expect "$where" "forgotten" "keyless logout" 0 "$KEYLESS" logout "$host"
  expect "$where" "forgotten" "crane reads" ! "$crane" manifest --insecure "$image"
  expect "$where" "the password" "cosign login" 0 "$cosign" login "$host" -u ann -p correct-horse
  expect "$where" "stored by cosign" "cosign -> keyless" 0 "${in_bash[@]}" keyless_verify "$image"
  expect "$where" "stored by cosign" "keyless logout" 0 "$KEYLESS" logout "$host"
  expect "$where" "forgotten" "cosign -> keyless" 43 "${in_bash[@]}" keyless_verify "$image"
  expect "$where" "in flags" "cosign -> keyless" 0 "${in_bash[@]}" keyless_verify --registry-username ann --registry-password correct-horse "$image"
  expect "$where" "in flags, wrong" "cosign -> keyless" 43 "${in_bash[@]}" keyless_verify --registry-username ann --registry-password wrong "$image"
  expect "$where" "in variables" "cosign -> keyless" 0 env COSIGN_REGISTRY_USERNAME=ann COSIGN_REGISTRY_PASSWORD=correct-horse bash -c '"$@"' - keyless_verify "$image"
  unset DOCKER_CONFIG
}

# A docker-registry over the storage of the plain one. docker_registry_with PORT HTTP-SETTINGS OTHER-SETTINGS
docker_registry_with() {
  cat > "$work/registry.$1.yml" <<END
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $work/registry}, delete: {enabled: true}}
http: {addr: "127.0.0.1:$1", relativeurls: true$2}
$3
END
  "$docker_registry" serve "$work/registry.$1.yml" > "$work/registry.$1.log" 2>&1 < /dev/null &
  started+=($!)
  wait_for_port "$1" || stop "docker-registry did not come up: $(tail -n1 "$work/registry.$1.log")"
}

certificates() { # an authority, a server's certificate and a client's, in $work/tls
  local tls=$work/tls who
  mkdir -p "$tls"
  {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=authority -keyout "$tls/ca.key" -out "$tls/ca.crt"
    for who in server client; do
      openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$who" -keyout "$tls/$who.key" -out "$tls/$who.csr"
      echo "subjectAltName = IP:127.0.0.1, DNS:registry.internal.test" > "$tls/$who.ext"
      openssl x509 -req -days 2 -in "$tls/$who.csr" -CA "$tls/ca.crt" -CAkey "$tls/ca.key" -CAcreateserial -extfile "$tls/$who.ext" -out "$tls/$who.crt"
    done
  } > "$tls/log" 2>&1 || stop "openssl: $(tail -n1 "$tls/log")"
}

if [ "${1:-}" = cells ]; then # inside `keyless sandbox run`
  work=$2 docker_registry_host=$3 crane_host=$4 tls_host=$5 password_host=$6 results=$7
  clean_environment
  export IDENTITY=$SANDBOX_IDENTITY ISSUER=$SANDBOX_ISSUER TOKEN=$SIGSTORE_ID_TOKEN
  export TRUSTED_ROOT=$KEYLESS_TRUSTED_ROOT SIGNING_CONFIG=$KEYLESS_SIGNING_CONFIG KEYLESS cosign
  keyless_sign=() keyless_trust=()
  image_cells "as it is" "crane registry serve" "$crane_host" api-unfaithful
  repository_cells "docker-registry" "$docker_registry_host"
  repository_cells "crane registry serve" "$crane_host"
  repository_cells "the sandbox's" "$SANDBOX_REGISTRY"
  tls_cells "$tls_host"
  login_cells "$password_host"
  exit 0
fi

new_work
results=$work/results; : > "$results"
start_docker_registry
certificates
tls_port=$(free_port)
docker_registry_with "$tls_port" ", tls: {certificate: $work/tls/server.crt, key: $work/tls/server.key, clientcas: [$work/tls/ca.crt]}" ""
password_port=$(free_port)
python3 -W ignore -c 'import crypt; print("ann:" + crypt.crypt("correct-horse", crypt.mksalt(crypt.METHOD_BLOWFISH)))' > "$work/htpasswd" ||
  stop "this Python has no bcrypt"
docker_registry_with "$password_port" "" "auth: {htpasswd: {realm: here, path: $work/htpasswd}}"
crane_port=$(free_port)
"$crane" registry serve --address "127.0.0.1:$crane_port" > "$work/crane.log" 2>&1 < /dev/null &
started+=($!)
wait_for_port "$crane_port" || stop "crane's registry did not come up"
"$KEYLESS" sandbox run -- bash "$here/registries.sh" cells "$work" "$docker_registry_host" "127.0.0.1:$crane_port" \
  "127.0.0.1:$tls_port" "127.0.0.1:$password_port" "$results" > "$work/cells.log" 2>&1 < /dev/null ||
  note "sandbox run" "" "" FAIL "$(tail -n1 "$work/cells.log" | cut -c1-150)"
print_table
