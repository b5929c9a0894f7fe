"""The command line: one file a command."""

import os

from tilewright.compiler.cli.program import main

# Idle threads of OpenMP spin while others draw random numbers, and take the processor from them; asleep they cost
# nothing (docs/performance.md). It must be said before torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

__all__ = ["main"]
