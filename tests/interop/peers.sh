#!/bin/bash
# Fetches the programs that the interop matrix checks us against, and puts them under DEST. Nothing is installed.
#
#   tests/interop/peers.sh [DEST]          DEST is .peers of this repository unless given
#
# cosign, sigstore-go, crane, oras and docker-registry are Debian packages of the suite sid (SUITE names another),
# taken from the archive that this machine's own apt sources name, and checked against Debian's keyring.
# sigstore-python comes from pip's own index into a virtual environment, with PyYAML for the test of the actions.
# DEST/bin holds one link a program, DEST/versions what they are. A second run finds all that and does nothing.
# A peer that cannot be had is an error that names it; nothing is ever skipped.
set -euo pipefail
export LC_ALL=C
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
dest=${1:-${PEERS:-$here/../../.peers}}
suite=${SUITE:-sid}
sigstore_python=${SIGSTORE_PYTHON:-sigstore==4.5.1}
# PACKAGE=PROGRAM it is wanted for
packages="cosign=cosign sigstore-go=sigstore-go-verification crane=crane oras=oras docker-registry=docker-registry"

die() { echo "peers.sh: $*" >&2; exit 1; }
mkdir -p "$dest"/{bin,debs,root,apt/lists/partial,apt/cache/archives/partial}
dest=$(cd "$dest" && pwd -P)

missing() {
  local pair
  for pair in $packages; do [ -x "$dest/bin/${pair#*=}" ] || echo "${pair%%=*}"; done
}

# A source list of our own: the machine's Debian archive with the suite's name put in place of the machine's.
own_apt() {
  local archive keyring codename
  codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-sid}")
  archive=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    awk -v c="$codename" '!found && $3 == "main" && ($2 == c || $2 ~ /^(sid|unstable|testing|stable)$/) { print $1; found = 1 }')
  [ -n "$archive" ] || die "no Debian archive in this machine's apt sources, so none of: $(missing | xargs)"
  keyring=$(dpkg -L debian-archive-keyring 2>/dev/null | awk '!found && /\/debian-archive-keyring\.(gpg|pgp)$/ { print; found = 1 } END { exit !found }') ||
    die "the package debian-archive-keyring is not installed, so none of: $(missing | xargs)"
  echo "deb [signed-by=$keyring] $archive $suite main" > "$dest/apt/sources.list"
  apt=(-q "-oDir::State::Lists=$dest/apt/lists" "-oDir::Cache=$dest/apt/cache" "-oDir::Etc::SourceList=$dest/apt/sources.list"
    -oDir::Etc::SourceParts=/dev/null -oAcquire::Languages=none -oAcquire::Retries=3 -oAPT::Sandbox::User=root)
  apt-get "${apt[@]}" update > "$dest/apt/log" 2>&1 || { tail -n5 "$dest/apt/log" >&2; die "the package index of $suite cannot be read"; }
}

fetch_package() { # fetch_package PACKAGE PROGRAM
  local found
  rm -f "$dest/debs/$1"_*.deb
  (cd "$dest/debs" && apt-get "${apt[@]}" download "$1" >> "$dest/apt/log" 2>&1) ||
    { tail -n3 "$dest/apt/log" >&2; die "package $1 cannot be had from $suite"; }
  dpkg -x "$dest/debs/$1"_*.deb "$dest/root/$1" || die "package $1 does not unpack"
  found=$dest/root/$1/usr/bin/$2
  [ -x "$found" ] || die "package $1 holds no program $2"
  ln -sfn "$found" "$dest/bin/$2"
}

if [ -n "$(missing)" ]; then
  own_apt
  for pair in $packages; do
    [ -x "$dest/bin/${pair#*=}" ] || fetch_package "${pair%%=*}" "${pair#*=}"
  done
fi

if [ ! -x "$dest/bin/sigstore" ]; then
  rm -rf "$dest/venv"
  python3 -m venv "$dest/venv" > "$dest/pip.log" 2>&1 || { tail -n3 "$dest/pip.log" >&2; die "sigstore-python: no virtual environment can be made"; }
  "$dest/venv/bin/python" -m pip install -q --no-input "$sigstore_python" PyYAML >> "$dest/pip.log" 2>&1 ||
    { tail -n3 "$dest/pip.log" >&2; die "sigstore-python ($sigstore_python) cannot be had"; }
  ln -sfn "$dest/venv/bin/sigstore" "$dest/bin/sigstore"
fi

# What we have, by running it: a program that does not run on this machine cannot be had either.
for try in "cosign version" "crane version" "oras version" "docker-registry --version" "sigstore --version"; do
  # shellcheck disable=SC2086 # the words are the command
  "$dest"/bin/$try > /dev/null 2> "$dest/try.log" || { tail -n3 "$dest/try.log" >&2; die "${try%% *} does not run here"; }
done
# Its help ends with an error code; read from a file, for a pipe that grep leaves early would be another.
"$dest/bin/sigstore-go-verification" -h > "$dest/try.log" 2>&1 || true
grep -q -- -trustedrootJSONpath "$dest/try.log" || { tail -n3 "$dest/try.log" >&2; die "sigstore-go-verification does not run here"; }
{
  for pair in $packages; do
    deb=$(basename "$dest/debs/${pair%%=*}"_*.deb); deb=${deb#*_}
    echo "${pair%%=*} ${deb%_*}"
  done
  echo "sigstore-python $("$dest/bin/sigstore" --version | awk '{print $NF}')"
} > "$dest/versions"
paste -sd, "$dest/versions" | sed 's/^/peers: /; s/,/, /g'
