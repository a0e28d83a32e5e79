#!/bin/bash
# Fuzzes every target for its share of the time, one at a time (JOBS=2: two at a time):
#
#   tests/fuzz/run.sh [SECONDS_IN_TOTAL]      3600 without a number; 0 builds, seeds and measures the bounds only
#
# TARGETS="bundle verify" takes only these. SANITIZER=address builds with AddressSanitizer, half as fast.
# Needs cargo (stable) and a C++ compiler. Inputs that led somewhere are kept in corpus/ for the next time, logs in
# logs/, what crashed in artifacts/. Ends with a table; fails if an input crashed, took 10 s, a second of CPU time, or
# 2 GiB.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1
total=${1:-3600}
host=$(rustc -vV | sed -n 's/^host: //p')
flags="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
flags+=" -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
flags+=" -Cllvm-args=-simplifycfg-branch-fold-threshold=0"
target_dir=target
if [ -n "${SANITIZER:-}" ]; then
  # The option is not stable; the compiler is.
  export RUSTC_BOOTSTRAP=1
  flags+=" -Zsanitizer=$SANITIZER"
  target_dir=target/$SANITIZER
fi
# With a target named, build scripts and macros of the compiler are built without the flags.
RUSTFLAGS=$flags nice -n 10 cargo build --release --locked --quiet --target "$host" --target-dir "$target_dir" --bins || exit 1
bin=$target_dir/$host/release

rm -rf seeds
list=$(nice -n 10 "$bin/seed" seeds) || exit 1
wanted=" ${TARGETS:-$(awk '{ print $1 }' <<< "$list" | tr '\n' ' ')} "
weights=$(awk -v wanted="$wanted" 'index(wanted, " " $1 " ") { sum += $3 } END { print sum + 0 }' <<< "$list")
[ "$weights" -gt 0 ] || { echo "no such target: $wanted"; exit 1; }

mkdir -p logs artifacts
status=0
# shellcheck disable=SC2086
nice -n 10 "$bin/bounds" $wanted || status=1
[ "$total" = 0 ] && exit $status

rows=$(mktemp -d); trap 'rm -rf "$rows"' EXIT
fuzz() { # fuzz NAME MAX_LEN WEIGHT DICTIONARY: a row of the table, and what it is about where there is a crash
  local name=$1 max_len=$2 weight=$3 dictionary=$4 share start seconds ended runs edges found
  mkdir -p "corpus/$name" "artifacts/$name"
  share=$((total * weight / weights)); [ "$share" -gt 0 ] || share=1
  local options=("-max_total_time=$share" "-max_len=$max_len" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1)
  options+=("-artifact_prefix=artifacts/$name/")
  [ "$dictionary" = - ] || options+=("-dict=$dictionary")
  start=$SECONDS
  nice -n 10 "$bin/$name" "${options[@]}" "corpus/$name" "seeds/$name" > "logs/$name.log" 2>&1 < /dev/null
  ended=$?
  seconds=$((SECONDS - start))
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "logs/$name.log" | tail -n 1)
  edges=$(grep -o ' cov: [0-9]*' "logs/$name.log" | tail -n 1 | tr -dc 0-9)
  found=$((ended != 0)) # libFuzzer stops at the first
  echo "$seconds ${runs:-0} $found" > "$rows/$name"
  printf '%-16s %7d %12d %8d %8d %7d %7d\n' "$name" "$seconds" "${runs:-0}" "$((${runs:-0} / (seconds > 0 ? seconds : 1)))" \
    "${edges:-0}" "$(find "corpus/$name" -type f | wc -l)" "$found"
  if [ "$found" = 1 ]; then
    grep -E -m 6 'panicked at|^thread|SUMMARY|ERROR|Test unit written' "logs/$name.log" | sed 's/^/  /'
  fi
}
printf '\n%-16s %7s %12s %8s %8s %7s %7s\n' target seconds executions per_s edges corpus crashes
while read -r name max_len weight dictionary; do
  [[ $wanted == *" $name "* ]] || continue
  while [ "$(jobs -rp | wc -l)" -ge "${JOBS:-1}" ]; do wait -n; done
  fuzz "$name" "$max_len" "$weight" "$dictionary" &
done <<< "$list"
wait
read -r all_seconds all_runs crashes < <(cat "$rows"/* | awk '{ s += $1; r += $2; c += $3 } END { print s + 0, r + 0, c + 0 }')
printf '%-16s %7d %12d %8s %8s %7s %7d\n' all "$all_seconds" "$all_runs" "" "" "" "$crashes"
[ "$crashes" = 0 ] || status=1
exit $status
