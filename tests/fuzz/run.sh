#!/bin/bash
# Fuzzes every target for its share of the time, one at a time (JOBS=2: two at a time):
#
#   tests/fuzz/run.sh [SECONDS_IN_TOTAL]      3600 without a number; 0 builds, seeds and measures the bounds only
#
# TARGETS="bundle verify" takes only these.
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
# With a target named, build scripts and macros of the compiler are built without the flags.
RUSTFLAGS=$flags nice -n 10 cargo build --release --locked --quiet --target "$host" --bins || exit 1
bin=target/$host/release

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
TIMEFORMAT='%U %S'
row='%-16s %7s %7s %12s %8s %8s %7s %7s\n'
fuzz() { # fuzz NAME MAX_LEN WEIGHT DICTIONARY: a row of the table, and what it is about where there is a crash
  local name=$1 max_len=$2 weight=$3 dictionary=$4 share start seconds cpu ended runs edges found
  mkdir -p "corpus/$name" "artifacts/$name"
  share=$((total * weight / weights)); [ "$share" -gt 0 ] || share=1
  local options=("-max_total_time=$share" "-max_len=$max_len" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1)
  options+=("-artifact_prefix=artifacts/$name/")
  [ "$dictionary" = - ] || options+=("-dict=$dictionary")
  start=$SECONDS
  cpu=$({ time nice -n 10 "$bin/$name" "${options[@]}" "corpus/$name" "seeds/$name" > "logs/$name.log" 2>&1 < /dev/null; } 2>&1)
  ended=$?
  seconds=$((SECONDS - start))
  cpu=$(awk '{ printf "%d", $1 + $2 + 0.5 }' <<< "$cpu")
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "logs/$name.log" | tail -n 1)
  edges=$(grep -o ' cov: [0-9]*' "logs/$name.log" | tail -n 1 | tr -dc 0-9)
  found=$((ended != 0)) # libFuzzer stops at the first
  echo "$seconds $cpu ${runs:-0} $found" > "$rows/$name"
  # shellcheck disable=SC2059
  printf "$row" "$name" "$seconds" "$cpu" "${runs:-0}" "$((${runs:-0} / (cpu > 0 ? cpu : 1)))" "${edges:-0}" \
    "$(find "corpus/$name" -type f | wc -l)" "$found"
  if [ "$found" = 1 ]; then
    grep -E -m 6 'panicked at|^thread|SUMMARY|ERROR|Test unit written' "logs/$name.log" | sed 's/^/  /'
  fi
}
# shellcheck disable=SC2059
{ echo; printf "$row" target seconds cpu_s executions per_cpu_s edges corpus crashes; }
while read -r name max_len weight dictionary; do
  [[ $wanted == *" $name "* ]] || continue
  while [ "$(jobs -rp | wc -l)" -ge "${JOBS:-1}" ]; do wait -n; done
  fuzz "$name" "$max_len" "$weight" "$dictionary" &
done <<< "$list"
wait
read -r all_seconds all_cpu all_runs crashes < <(awk '{ s += $1; c += $2; r += $3; f += $4 } END { print s + 0, c + 0, r + 0, f + 0 }' "$rows"/*)
# shellcheck disable=SC2059
printf "$row" all "$all_seconds" "$all_cpu" "$all_runs" "" "" "" "$crashes"
[ "$crashes" = 0 ] || status=1
exit $status
