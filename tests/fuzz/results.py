"""Findings of a campaign, a line a batch, so that it can go on another day; and the table of it."""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field

from tests.fuzz.kinds import KINDS
from tests.fuzz.verdict import Verdict

EXAMPLES = 6
"""Seeds that are named of what fell in the same way at the same place."""


@dataclass
class Tally:
    """Everything known of one kind of mutants."""

    seeds: set[int] = field(default_factory=set)
    ended: Counter[str] = field(default_factory=Counter)
    fell: dict[int, Verdict] = field(default_factory=dict)
    slowest: tuple[float, int] = (0.0, -1)
    largest: tuple[float, int] = (0.0, -1)
    seconds: float = 0.0


class Results:
    """Verdicts by kind, read from a file and added to it."""

    def __init__(self, path, code):
        self.path, self.code = path, code
        self.others: Counter[str] = Counter()
        self.tallies = {kind: Tally() for kind in KINDS}
        text = path.read_text() if path is not None and path.exists() else ""
        for line in text.splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # cut off by a kill: its seeds come again
            self._count(entry)
        if text and not text.endswith("\n"):
            with path.open("a") as file:
                file.write("\n")

    def add(self, kind, verdicts):
        """Keep a batch."""
        entry = {
            "kind": kind,
            "code": self.code,
            "seeds": _ranges(sorted(verdict.seed for verdict in verdicts)),
            "ended": Counter(verdict.ended for verdict in verdicts if not verdict.fell),
            "fell": [asdict(verdict) for verdict in verdicts if verdict.fell],
            "slowest": max((verdict.seconds, verdict.seed) for verdict in verdicts),
            "largest": max((verdict.mib, verdict.seed) for verdict in verdicts),
            "seconds": round(sum(verdict.seconds for verdict in verdicts), 2),
        }
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(json.dumps(entry) + "\n")
        self._count(entry)

    def _count(self, entry):
        tally = self.tallies[entry["kind"]]
        seeds = {seed for first, last in entry["seeds"] for seed in range(first, last + 1)}
        tally.fell = {seed: verdict for seed, verdict in tally.fell.items() if seed not in seeds}
        tally.fell |= {verdict["seed"]: Verdict(**verdict) for verdict in entry["fell"]}
        tally.seeds |= seeds
        tally.ended.update(entry["ended"])
        tally.slowest = max(tally.slowest, tuple(entry["slowest"]))
        tally.largest = max(tally.largest, tuple(entry["largest"]))
        tally.seconds += entry["seconds"]
        self.others[entry["code"]] += len(seeds)

    @property
    def fell(self):
        """Verdicts of all mutants that fell."""
        return [verdict for tally in self.tallies.values() for verdict in tally.fell.values()]

    def table(self):
        """Lines for people."""
        heads = f"{'kind':<9}{'mutants':>9}{'fell':>6}{'CPU s':>9}"
        yield f"{heads}  {'slowest (seed)':<18}  {'most MiB (seed)':<18}  how the others ended"
        for kind, tally in self.tallies.items():
            if tally.seeds:
                slowest, largest = (f"{number:g} ({seed})" for number, seed in (tally.slowest, tally.largest))
                ended = ", ".join(f"{how} {count}" for how, count in tally.ended.most_common())
                counts = f"{len(tally.seeds):>9}{len(tally.fell):>6}{tally.seconds:>9.0f}"
                yield f"{kind:<9}{counts}  {slowest:<18}  {largest:<18}  {ended}"
        older = sum(count for code, count in self.others.items() if code != self.code)
        if older:
            yield f"{older} of these tries were of other states of the code; --again tries what fell then"
        alike: dict[tuple[str, str, str], list[Verdict]] = {}
        for verdict in self.fell:
            alike.setdefault((verdict.kind, verdict.fell, verdict.place), []).append(verdict)
        for (kind, fell, place), verdicts in sorted(alike.items(), key=lambda item: -len(item[1])):
            seeds = ", ".join(str(verdict.seed) for verdict in verdicts[:EXAMPLES])
            yield f"FELL {kind} {fell} at {place or '?'}: {len(verdicts)} times, seeds {seeds}"
            yield f"     {verdicts[0].message}"


def _ranges(seeds):
    """Sorted whole numbers as (first, last) of those in a row."""
    found: list[list[int]] = []
    for seed in seeds:
        if found and found[-1][1] == seed - 1:
            found[-1][1] = seed
        else:
            found.append([seed, seed])
    return found
