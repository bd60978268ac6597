#!/bin/bash
# Each target for its share of the given minutes, from the corpus of the tree. What is new and
# covers more is kept in build/fuzz/corpus; what breaks a target stands in build/fuzz/found.
#
#   fuzz.sh MINUTES [TARGET...]
set -euo pipefail
cd "$(dirname "$0")/../.."
minutes=$1
shift
targets=("$@")
((${#targets[@]})) || targets=($(ls tests/fuzz/corpus))
seconds=$((minutes * 60 / ${#targets[@]}))
((seconds > 0)) || seconds=1
failed=()
for target in "${targets[@]}"; do
    mkdir -p build/fuzz/corpus/"$target" build/fuzz/found/"$target"
    echo "== $target, $seconds s"
    FUZZ_TARGET=$target build/fuzz/bin/fuzz -max_total_time="$seconds" -max_len=4096 -timeout=10 \
        -print_final_stats=1 -verbosity=0 -artifact_prefix=build/fuzz/found/"$target"/ \
        build/fuzz/corpus/"$target" tests/fuzz/corpus/"$target" || failed+=("$target")
done
((${#failed[@]} == 0)) || { echo "broken: ${failed[*]}; see build/fuzz/found" >&2; exit 1; }
