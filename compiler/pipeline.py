"""Steps of compiling, run in order; after each that changes the graph it must still compute the model."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from tilewright.compiler.network.comparison import (
    LARGEST_ROUNDING,
    TOLERANCE,
    Comparison,
    largest_relative_error,
)
from tilewright.compiler.network.invariants import check_invariants
from tilewright.compiler.network.network import Network
from tilewright.runtime.plan.decisions import Verification
from tilewright.targets.errors import InputError

Result = TypeVar("Result")
OnPass = Callable[[str, int, int, float], None]
"""Called after each step with its name, its number, how many there are and its seconds."""


class PassError(RuntimeError):
    """Failure of a step: an error, a graph that computes something else, or a broken plan. A bug of tilewright."""


class Pipeline:
    """Steps over one network. Each is named, timed and told of; those over the graph are checked."""

    def __init__(self, network: Network, names: Sequence[str], on_pass: OnPass | None = None) -> None:
        """Prepare steps over a network. names: of all steps that will be run, in order."""
        self.network, self.names, self.on_pass = network, names, on_pass
        self.done: list[str] = []
        self._comparison = Comparison(network)

    def lower(self, name: str, run: Callable[[], Result]) -> Result:
        """Run a step that changes the graph. Raises ``PassError`` that names it and those before it if the graph is not
        the model any more.
        """
        return self._run(name, run, self._check)

    def decide(self, name: str, run: Callable[[], Result]) -> Result:
        """Run a step that leaves the graph as it is. Raises ``PassError`` if it fails."""
        return self._run(name, run, None)

    def finish(self) -> None:
        """Compare graph and model at sizes that only a run can tell of. Raises ``PassError``."""
        tried = largest_relative_error(self.network.graph, self.network.traced.trials)
        if not tried <= LARGEST_ROUNDING:  # of the sizes alone: rounding was judged on the examples
            raise PassError(
                "a pass changed what the model computes at sizes that it was not traced for: relative error "
                f"{tried:.2e}, allowed {LARGEST_ROUNDING:.0e}"
            )

    def _run(self, name: str, run: Callable[[], Result], check: Callable[[str], None] | None) -> Result:
        started = time.perf_counter()
        try:
            result = run()
            if check is not None:
                check_invariants(self.network)
        except InputError:
            raise
        except Exception as error:
            raise PassError(f"pass {name} failed after {', '.join(self.done) or 'no other pass'}: {error}") from error
        if check is not None:
            check(name)
        self.done.append(name)
        if self.on_pass:
            self.on_pass(name, len(self.done), len(self.names), time.perf_counter() - started)
        return result

    def _check(self, name: str) -> None:
        if not self.network.traced.has_weights:
            return
        if not self._comparison.holds():
            raise PassError(
                f"pass {name} changed what the model computes: relative error {self._comparison.error:.2e}, allowed "
                f"{TOLERANCE:.0e}; passes before it: {', '.join(self.done) or 'none'}"
            )
        error = self._comparison.error
        self.network.verification.append(Verification(pass_name=name, largest_relative_error=error))
