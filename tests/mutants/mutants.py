#!/usr/bin/env python3
"""Plants each bug in turn and tells which checks notice it, as `make mutants` runs it.

The bugs are the switches `planted("…")` in src/; bugs.txt says what each does. Each check runs
until its first violation: the suites of the parts, then of the simulation the stories, the corpus,
the crashes, the fault plans and the seeds. Ends with 1 when the simulation does not notice a bug,
or when a check complains though no bug is planted.
"""
import argparse
import concurrent.futures
import os
import re
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PARTS = ("plan", "engine", "kube", "azure")
NOT_STORIES = ("*crash*,fault plans*,seeds*,corpus*,the same seed*,what a seed*,"
               "the proof and*,foreign rules stay*")  # the last two take long
LIMIT = 900  # seconds for one run; a bug that makes it hang is noticed as well
CHUNK = 250  # seeds of one run


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", type=Path, default=ROOT / "build/mutants/bin")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--stride", type=int, default=24, help="one fault plan in so many")
    parser.add_argument("--seeds", type=int, default=10_000, help="at most so many for each bug")
    parser.add_argument("--more-seeds", type=int, default=250,
                        help="so many for a bug that the simulation has noticed otherwise")
    parser.add_argument("--only", nargs="*", help="these bugs and no others")
    parser.add_argument("--skip-unplanted", action="store_true",
                        help="do not run the checks without a bug first")
    parser.add_argument("--simulation-only", action="store_true", help="not the parts' suites")
    parser.add_argument("--table", type=Path, help="write what was noticed there, as Markdown")
    return parser.parse_args()


def planted_bugs():
    """By name, what each does: as bugs.txt says, which must name what is in the sources."""
    said = dict(re.findall(r"^([a-z0-9-]+): (.+)$", (HERE / "bugs.txt").read_text(), re.M))
    names = set()
    for source in (ROOT / "src").rglob("*.cpp"):
        names.update(re.findall(r'planted\("([a-z0-9-]+)"\)', source.read_text()))
    if names != said.keys():
        sys.exit(f"in src/ or bugs.txt, and not in both: {', '.join(sorted(names ^ said.keys()))}")
    return said


class Checks:
    """What notices one bug; None: all is well."""

    def __init__(self, bug, chosen):
        self.bug, self.chosen = bug, chosen

    def run(self, program, *arguments, **environment):
        """What the program said, and whether it found something wrong."""
        settings = {**os.environ, **{k: str(v) for k, v in environment.items()}}
        settings["SALLYPORT_MUTANT"] = self.bug
        try:
            ended = subprocess.run([self.chosen.bin / f"{program}_tests", *arguments], env=settings,
                                   capture_output=True, text=True, errors="replace", timeout=LIMIT,
                                   check=False)
        except subprocess.TimeoutExpired:
            return "it hangs", True
        return ended.stdout + ended.stderr, ended.returncode != 0

    def case(self, program, *arguments, **environment):
        said, failed = self.run(program, "--abort-after=1", *arguments, **environment)
        if not failed:
            return None
        for told in said.split("TEST CASE:")[1:]:
            if "ERROR" in told:
                return " ".join(told.split("\n\n")[0].split())
        return said[-60:].strip() or "it ends at once"

    def parts(self):
        if self.chosen.simulation_only:
            return None
        return ", ".join(part for part in PARTS if self.case(part)) or None

    def stories(self):
        return self.case("sim", f"--test-case-exclude={NOT_STORIES}")

    def corpus(self):
        said, failed = self.run("sim", "--test-case=corpus*")
        found = re.search(r"logged: (.*)", said)
        return (found[1] if found else "it ends at once") if failed else None

    def crashes(self):
        return self.case("sim", "--test-case=*crash*", SALLYPORT_CRASH_EVERY=7)

    def search(self, **settings):
        """Number of plans and seeds until the first violation, and what it was."""
        said, failed = self.run("sim", "--no-skip", "--test-case=search*", **settings)
        if not failed:
            return None
        found = re.search(r"CAUGHT after (\d+) plans and (\d+) seeds: (.*)", said)
        if found:
            return int(found[1]), int(found[2]), found[3]
        return 0, 0, said[-60:].strip() or "it ends at once"

    def plans(self):
        found = self.search(SALLYPORT_PLANS_STRIDE=self.chosen.stride, SALLYPORT_SEEDS=0)
        return f"{found[0]}: {found[2]}" if found else None

    def seeds(self, at_most):
        for first in range(1, at_most + 1, CHUNK):
            found = self.search(SALLYPORT_PLANS_STRIDE=0, SALLYPORT_FIRST_SEED=first,
                                SALLYPORT_SEEDS=min(CHUNK, at_most + 1 - first))
            if found:
                return f"{first - 1 + found[1]}: {found[2]}"
        return None

    def all(self):
        noticed = {"parts": self.parts(), "stories": self.stories(), "corpus": self.corpus(),
                   "crashes": self.crashes(), "plans": self.plans()}
        more = is_noticed(noticed) or not self.bug
        noticed["seeds"] = self.seeds(self.chosen.more_seeds if more else self.chosen.seeds)
        return noticed


def is_noticed(noticed):
    """By the simulation."""
    return any(how for check, how in noticed.items() if check != "parts")


def tell(bug, noticed):
    print(bug or "no bug")
    for check, how in noticed.items():
        print(f"  {check:8} {how[:300] if how else '-'}", flush=True)


def row(bug, does, noticed):
    """Of docs/reliability.md."""
    def cut(how):  # a violation without its circumstances
        return re.sub(r"(: [IPN]\d* [^:]+|undisturbed: [^:]+).*", r"\1", how) if how else "-"
    plan = noticed["plans"] or noticed["corpus"] and "corpus: " + noticed["corpus"]
    return (f"| `{bug}`: {does} | {noticed['parts'] or '-'} | "
            f"{noticed['stories'] or noticed['crashes'] or '-'} | {cut(plan)} | "
            f"{cut(noticed['seeds'])} |")


def main():
    chosen = options()
    bugs = planted_bugs()
    unknown = set(chosen.only or []) - bugs.keys()
    if unknown:
        sys.exit(f"no such bug: {', '.join(sorted(unknown))}; there are {', '.join(sorted(bugs))}")
    began = time.monotonic()
    if not chosen.skip_unplanted:
        without = Checks("", chosen).all()
        tell("", without)
        if any(without.values()):
            print("a check complains though no bug is planted")
            return 1
    unnoticed, seedless, rows = [], [], {}
    with concurrent.futures.ThreadPoolExecutor(chosen.jobs) as pool:
        running = {pool.submit(Checks(bug, chosen).all): bug for bug in chosen.only or sorted(bugs)}
        for each in concurrent.futures.as_completed(running):
            bug, noticed = running[each], each.result()
            tell(bug, noticed)
            rows[bug] = row(bug, bugs[bug], noticed)
            if chosen.table:
                chosen.table.write_text("\n".join(rows[b] for b in bugs if b in rows) + "\n")
            if not is_noticed(noticed):
                unnoticed.append(bug)
            if not noticed["seeds"]:
                seedless.append(bug)
    print(f"{len(running) - len(unnoticed)} of {len(running)} planted bugs were noticed by the "
          f"simulation, in {time.monotonic() - began:.0f} s")
    if seedless:
        print(f"not noticed by the seeds that were tried: {', '.join(sorted(seedless))}")
    if unnoticed:
        print(f"not noticed: {', '.join(sorted(unnoticed))}")
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
