#!/bin/bash
# Layout and clang-tidy.
#
#   lint.sh [changed|all]           report, and fail on any finding
#   lint.sh format [changed|all]    let clang-format change the files
#
# `changed` are the C++ files that differ from main, committed or not; on main itself, all.
set -euo pipefail
cd "$(dirname "$0")/../.."

mode=lint
if [[ ${1:-} == format ]]; then
    mode=format
    shift
fi
which=${1:-changed}

all_files() { git ls-files -co --exclude-standard -- '*.cpp' '*.hpp'; }
changed_files() {
    { git diff --name-only --diff-filter=d main -- '*.cpp' '*.hpp'
      git ls-files -o --exclude-standard -- '*.cpp' '*.hpp'; } | sort -u
}
mapfile -t files < <(if [[ $which == all ]] || ! git rev-parse -q --verify main >/dev/null ||
                        [[ $(git rev-parse main) == $(git rev-parse HEAD) && -z $(changed_files) ]]
                     then all_files; else changed_files; fi)
((${#files[@]})) || { echo "no C++ file differs from main"; exit 0; }

if [[ $mode == format ]]; then
    clang-format-16 -i "${files[@]}"
    exit
fi

clang-format-16 --dry-run --Werror "${files[@]}"
# clang-tidy reads how each file is compiled by the other compiler; headers come with their sources.
cmake --preset clang >/dev/null
sources=()
for file in "${files[@]}"; do
    [[ $file == *.cpp ]] && sources+=("$file")
done
((${#sources[@]} == 0)) ||
    printf '%s\0' "${sources[@]}" | xargs -0 -P "$(nproc)" -n 1 clang-tidy-16 -p build/clang --quiet
