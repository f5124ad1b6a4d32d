#!/usr/bin/env bash
# Runs one libFuzzer target for some seconds on a throw-away copy of its corpus.
# usage: tests/tools/fuzz.sh THING SECONDS      (after: cmake --build --preset fuzz)
set -euo pipefail
cd "$(dirname "$0")/../.."
thing=$1 seconds=$2
program=build/fuzz/fuzz/fuzz_$thing
if [ ! -x "$program" ]; then
    echo "$program is not built: cmake --preset fuzz && cmake --build --preset fuzz" >&2
    exit 1
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r "fuzz/corpus/$thing" "$work/corpus"
dictionary=()
[ -f "fuzz/$thing.dict" ] && dictionary=("-dict=fuzz/$thing.dict")
ASAN_OPTIONS=abort_on_error=1:allocator_may_return_null=1 UBSAN_OPTIONS=halt_on_error=1 \
    "$program" -max_total_time="$seconds" -max_len=65536 -rss_limit_mb=2048 -timeout=10 \
    -print_final_stats=1 -artifact_prefix="$work/" "${dictionary[@]}" "$work/corpus" \
    >"$work/log" 2>&1 || {
    tail -60 "$work/log"
    for found in "$work"/crash-* "$work"/timeout-* "$work"/oom-* "$work"/leak-*; do
        [ -f "$found" ] && { echo "input of $found (base64):"; base64 "$found" | head -200; }
    done
    exit 1
}
grep -E 'stat::number_of_executed_units|stat::peak_rss_mb' "$work/log"
