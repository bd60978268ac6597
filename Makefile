# The commands of this repository. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
JOBS ?= $(shell nproc)
# Paths in compiler caches do not depend on where the clone lies.
export CCACHE_NOHASHDIR ?= 1
export CCACHE_BASEDIR ?= $(CURDIR)

.PHONY: help demo test sim mutants up down bench fuzz lint format deps clean build sanitized

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | \
	    while IFS='|' read -r name text; do printf '  make %-8s %s\n' "$$name" "$$text"; done

demo: programs  ## the whole loop in front of your eyes, in under a minute once built
	tests/demo/demo.py

test: deps-test build sanitized  ## every test, also under the sanitizers; what CI runs
	ctest --test-dir build -j $(JOBS) --output-on-failure --no-tests=error

sim:  ## fault plans (one: PLAN=…; all: STRIDE=1); seeds instead: SEEDS=… FIRST_SEED=…, one: SEED=…
	tests/tools/deps.sh test
	cmake --preset release -DSALLYPORT_TESTS=ON
	cmake --build build -j $(JOBS) --target sim_tests
	tests/sim/sim.py --jobs $(JOBS) $(if $(PLAN),--plan '$(PLAN)') $(if $(SEED),--seed $(SEED)) \
	    $(if $(STRIDE),--stride $(STRIDE)) $(if $(SEEDS),--seeds $(SEEDS)) \
	    $(if $(FIRST_SEED),--first-seed $(FIRST_SEED))

mutants: deps-test  ## plants bugs, and tells which check notices each (ONLY="name …", SEEDS=…)
	cmake --preset mutants
	cmake --build build/mutants -j $(JOBS) --target plan_tests engine_tests kube_tests \
	    azure_tests sim_tests
	tests/mutants/mutants.py --jobs $(JOBS) $(if $(ONLY),--only $(ONLY)) \
	    $(if $(SEEDS),--seeds $(SEEDS))

up: programs  ## start the demo's world and leave it running
	tests/demo/world.py up

down:  ## stop what `make up` started
	tests/demo/world.py down

bench:  ## measure what docs/benchmarks.md reports (QUICK=1: a tenth of it, in minutes)
	tests/tools/deps.sh test
	cmake --preset release -DSALLYPORT_TESTS=ON
	cmake --build build -j $(JOBS) --target bench sallyport-controller azure-sim
	build/bin/bench
	tests/bench/ends.py $(if $(QUICK),--quick)

fuzz: deps  ## libFuzzer over every decoder, MINUTES=10 in all
	cmake --preset fuzz
	cmake --build build/fuzz -j $(JOBS) --target fuzz
	tests/fuzz/fuzz.sh $(or $(MINUTES),10)

deps:  ## install what is missing (all of it listed in tests/tools/deps.sh)
	tests/tools/deps.sh all

lint: deps  ## formatting and clang-tidy, on what differs from main (ALL=1: on everything)
	tests/tools/lint.sh $(if $(ALL),all,changed)

format:  ## let clang-format lay out what differs from main (ALL=1: everything)
	tests/tools/lint.sh format $(if $(ALL),all,changed)

clean:  ## remove everything that was built (the fetched tools too)
	rm -rf build

.PHONY: deps-demo deps-test programs
deps-demo:
	tests/tools/deps.sh demo
deps-test:
	tests/tools/deps.sh test

programs: deps-demo
	cmake --preset release -DSALLYPORT_TESTS=OFF
	cmake --build build -j $(JOBS) --target sallyport-controller azure-sim

build:
	cmake --preset release -DSALLYPORT_TESTS=ON -DSALLYPORT_SANITIZED=ON
	cmake --build build -j $(JOBS)

# The release tree's ctest runs these suites too (tests/CMakeLists.txt): one summary ends it all.
sanitized:
	cmake --preset asan
	cmake --build build/asan -j $(JOBS) --target address_sanitized
	cmake --preset tsan
	cmake --build build/tsan -j $(JOBS) --target thread_sanitized
