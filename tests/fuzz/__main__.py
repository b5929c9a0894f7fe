"""``python -m tests.fuzz``: a campaign within a budget, or one mutant for a look."""

import os

os.environ.update({"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"})  # before torch
os.environ.pop("FORCE_COLOR", None)  # a terminal's colours would be taken for a stranger's

import argparse
import shutil
import sys
import time
from pathlib import Path

from tests.fuzz import bases
from tests.fuzz.campaign import campaign
from tests.fuzz.child import caught_output, limit, run_one
from tests.fuzz.kinds import ALL, KINDS
from tests.fuzz.results import Results

ENDLESS = 10**12
PROGRESS = 20
"""Seconds between lines of progress."""


def main():
    """Returns the exit code: 1 if anything fell."""
    given = _arguments()
    if given.one:
        return _one(*given.one.split(":"))
    results = Results(given.results, bases.code_sha256())
    _say(f"{len(given.kinds)} kinds, {given.jobs} jobs; warming up")
    started = time.monotonic()
    bases.one_thread()
    for kind in given.kinds:
        KINDS[kind].warm()
    _say(f"warm after {time.monotonic() - started:.0f} s")
    plan = _Schedule(given, results)
    campaign(plan.next_batch, plan.finished, given.jobs)
    print("\n".join(results.table()), flush=True)
    return 1 if results.fell else 0


class _Schedule:
    """Mutants that are next: kinds in proportion to what a campaign wants of each, seeds that were not tried yet."""

    def __init__(self, given, results):
        self.given, self.results = given, results
        self.until = time.monotonic() + 60 * given.minutes if given.minutes else None
        self.taken = {kind: set(results.tallies[kind].seeds) for kind in given.kinds}
        self.again = {kind: sorted(results.tallies[kind].fell) for kind in given.kinds} if given.again else None
        self.said = time.monotonic()

    def next_batch(self):
        if self.until is not None and time.monotonic() > self.until:
            return None
        if self.again is not None:
            return next(((kind, self.again.pop(kind)) for kind in self.given.kinds if self.again.get(kind)), None)
        missing = {kind: self.given.count.get(kind, ENDLESS) - len(self.taken[kind]) for kind in self.given.kinds}
        wanting = [kind for kind, count in missing.items() if count > 0]
        if not wanting:
            return None
        kind = min(wanting, key=lambda name: len(self.taken[name]) / max(KINDS[name].wanted, 1))
        size = min(KINDS[kind].batch, missing[kind])
        seeds: list[int] = []
        seed = self.given.seed
        while len(seeds) < size:
            if seed not in self.taken[kind]:
                seeds.append(seed)
            seed += 1
        self.taken[kind].update(seeds)
        return kind, seeds

    def finished(self, kind, verdicts):
        self.results.add(kind, verdicts)
        for verdict in verdicts:
            if verdict.fell:
                _say(f"FELL {kind}:{verdict.seed} {verdict.fell} at {verdict.place or '?'}: {verdict.message[:150]}")
        if time.monotonic() - self.said > PROGRESS:
            self.said = time.monotonic()
            counts = ", ".join(f"{len(self.results.tallies[name].seeds)} {name}" for name in self.given.kinds)
            _say(f"{counts}; {len(self.results.fell)} fell")


def _one(kind, seed):
    """Try one mutant in this process, keep it for a look, and let what it raises be seen."""
    bases.one_thread()
    KINDS[kind].warm()
    limit(sys.stderr)
    folder = Path("fuzz-mutants") / f"{kind}-{seed}"
    verdict = run_one(kind, int(seed), folder)
    print(verdict.to_json(), f"\nthe mutant is in {folder}", flush=True)
    if verdict.fell:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        with caught_output():
            KINDS[kind].run(int(seed), folder)
    return 0


def _arguments():
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, help="time for all kinds together; without, until --count is reached")
    parser.add_argument("--kinds", type=lambda text: text.split(","), default=ALL, help=f"of {', '.join(KINDS)}")
    parser.add_argument(
        "--count",
        type=_counts,
        default={},
        help="mutants of each kind, with those in the results: 100, or plans=500,onnx=50",
    )
    parser.add_argument("--seed", type=int, default=0, help="the first seed; a seed names the same mutant everywhere")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="children at once")
    parser.add_argument("--results", type=Path, help="a file to add to; what is in it is not tried again")
    parser.add_argument("--again", action="store_true", help="try only what fell in the results")
    parser.add_argument("--one", metavar="KIND:SEED", help="one mutant alone, in this process")
    given = parser.parse_args()
    unknown = [kind for kind in given.kinds if kind not in KINDS]
    if unknown:
        parser.error(f"there is no kind {unknown[0]!r}; known: {', '.join(KINDS)}")
    if not (given.minutes or given.count or given.again or given.one):
        parser.error("give --minutes or --count")
    return given


def _counts(text):
    """``100`` or ``plans=500,onnx=50`` as kind -> how many."""
    if text.isdigit():
        return dict.fromkeys(KINDS, int(text))
    return {kind: int(count) for kind, _, count in (part.partition("=") for part in text.split(","))}


def _say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
