"""Steps of compiling, run in order; after each that changes the graph it must still compute the model."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from itertools import chain
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from tilewright.compiler.network.chosen_linear import CHOSEN_LINEAR
from tilewright.compiler.network.comparison import LARGEST_ROUNDING, TOLERANCE, Comparison, largest_relative_error
from tilewright.compiler.network.network import Network
from tilewright.compiler.network.rewriting import module_of
from tilewright.compiler.network.unsupported import unsupported_aten
from tilewright.runtime.plan.decisions import Verification
from tilewright.runtime.plan.operators import function_name
from tilewright.runtime.units.full_precision import DigitalLinear, DigitalMatmul
from tilewright.runtime.units.loop import Loop
from tilewright.targets.errors import InputError

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class OnPass(Protocol):
    """Function that is called after each step of compiling, with its name, its number, how many there are, its time."""

    def __call__(self, name: str, done: int, count: int, seconds: float, /) -> None:
        """Take a step's name, the numbers of steps done and of all, and the seconds that it took."""


ROUND_WEIGHTS = ("fold_batch_norms", "write_as_linear", "fold_channel_scales")
"""Passes that multiply weights, and round them to float32."""


class PassError(RuntimeError):
    """Failure of a step: an error, a graph that computes something else, or a broken plan. A bug of tilewright."""


class Pipeline:
    """Steps over one network, named as their functions. Each is timed and told of; those over the graph are checked."""

    def __init__(self, network: Network, count: int, on_pass: OnPass | None = None) -> None:
        """Prepare steps over a network. count: number of all steps that will be run."""
        self.network, self.count, self.on_pass = network, count, on_pass
        self.done: list[str] = []
        self._comparison = Comparison(network)

    def lower(
        self, step: Callable[Concatenate[Network, Arguments], Result], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Result:
        """Run a step that changes the graph. Raises ``PassError`` that names it and those before it if the graph is not
        the model any more.
        """
        return self._run(step.__name__, partial(step, self.network, *args, **kwargs), changes_graph=True)

    def decide(self, step: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        """Run a step that leaves the graph as it is. Raises ``PassError`` if it fails."""
        return self._run(step.__name__, partial(step, *args, **kwargs), changes_graph=False)

    def finish(self) -> None:
        """Compare graph and model at sizes that only a run can tell of. Raises ``PassError``."""
        tried = largest_relative_error(self.network.graph, self.network.traced.trials)
        if not tried <= LARGEST_ROUNDING:  # of the sizes alone: rounding was judged on the examples
            raise PassError(
                "a pass changed what the model computes at sizes that it was not traced for: relative error "
                f"{tried:.2e}, allowed {LARGEST_ROUNDING:.0e}"
            )

    def _run(self, name: str, run: Callable[[], Result], *, changes_graph: bool) -> Result:
        started = time.perf_counter()
        try:
            result = run()
            if changes_graph:
                check_invariants(self.network)
        except InputError:
            raise
        except Exception as error:
            raise PassError(f"pass {name} failed after {', '.join(self.done) or 'no other pass'}: {error}") from error
        if changes_graph and self.network.traced.has_weights:
            self._compare(name)
        self.done.append(name)
        if self.on_pass:
            self.on_pass(name, len(self.done), self.count, time.perf_counter() - started)
        return result

    def _compare(self, name: str) -> None:
        if not self._comparison.holds(rounds_weights=name in ROUND_WEIGHTS):
            raise PassError(
                f"pass {name} changed what the model computes: relative error {self._comparison.error:.2e}, allowed "
                f"{TOLERANCE:.0e}; passes before it: {', '.join(self.done) or 'none'}"
            )
        error = self._comparison.error
        self.network.verification.append(Verification(pass_name=name, largest_relative_error=error))


def check_invariants(network: Network) -> None:
    """Raise ``InputError`` for an operator that tilewright does not support, ``ValueError`` for a broken graph."""
    network.graph.graph.lint()
    for node in chain(network.graph.graph.nodes, *(loop.body.graph.nodes for _, loop in network.loops)):
        if node.op == "call_function" and node.target is not CHOSEN_LINEAR and function_name(node.target) is None:
            inside = module_of(node)
            where = f" in module {inside!r}" if inside else ""
            raise unsupported_aten(str(node.target), f"node {node.name}{where}")
        if node.op == "call_module":
            module = network.graph.get_submodule(str(node.target))
            if not isinstance(module, DigitalLinear | DigitalMatmul | Loop):
                raise ValueError(f"node {node.name} calls a {type(module).__name__}, which is not a layer or matmul")
        if node.op == "get_attr" and network.tensor(node) is None:
            raise ValueError(f"node {node.name} reads {node.target}, which is not a tensor")
