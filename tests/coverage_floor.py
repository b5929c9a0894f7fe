"""Floor of the fast suite's coverage: what is covered of lines and of branches, and which files have less.

Reads the JSON of coverage.py, which knows one floor for both together: `make coverage`.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LINES, BRANCHES = 92.0, 85.0
"""Least percentages of all lines and of all branches."""


@dataclass(frozen=True)
class Share:
    """Parts that were run, of all there are."""

    covered: int
    count: int

    @property
    def percent(self) -> float:
        """Percentage that was run; all of nothing."""
        return 100.0 * self.covered / self.count if self.count else 100.0

    def __str__(self) -> str:
        return f"{self.percent:.1f} % ({self.covered:,} of {self.count:,})"


@dataclass(frozen=True)
class Covered:
    """Lines and branches of a file, or of all."""

    lines: Share
    branches: Share

    @property
    def is_enough(self) -> bool:
        """True at the floor or above, of lines and of branches."""
        return self.lines.percent >= LINES and self.branches.percent >= BRANCHES


def covered(summary: dict[str, Any]) -> Covered:
    """Coverage from one of the summaries in coverage.py's JSON."""
    return Covered(
        Share(summary["covered_lines"], summary["num_statements"]),
        Share(summary["covered_branches"], summary["num_branches"]),
    )


def below(content: dict[str, Any]) -> list[tuple[str, Covered]]:
    """Files with less than the floor, those with the most lines that no test runs first."""
    found = {path: covered(file["summary"]) for path, file in content["files"].items()}
    short = [(path, figures) for path, figures in found.items() if not figures.is_enough]
    return sorted(short, key=lambda item: (item[1].lines.covered - item[1].lines.count, item[0]))


def main() -> int:
    """Print the totals and the files below the floor. Returns 1 if the totals are below it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("json", type=Path, help="what `coverage json` wrote")
    content = json.loads(parser.parse_args().json.read_text())
    total, short = covered(content["totals"]), below(content)
    print(
        f"{len(short)} of {len(content['files'])} files are below {LINES:g} % of lines or {BRANCHES:g} % of branches:"
    )
    for path, figures in short:
        print(f"  {path:<58} lines {figures.lines.percent:5.1f} %  branches {figures.branches.percent:5.1f} %")
    print(f"lines    {total.lines}, floor {LINES:g} %")
    print(f"branches {total.branches}, floor {BRANCHES:g} %")
    return 0 if total.is_enough else 1


if __name__ == "__main__":
    raise SystemExit(main())
