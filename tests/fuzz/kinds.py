"""The kinds of mutants: how each is made and tried, and how many make a campaign."""

import importlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One kind of mutants.

    module: of this package, with ``warm()``, which is called once, and ``run(seed, folder)``, which says how a mutant
    ended. wanted: mutants of a campaign; budgets are shared in this proportion. seconds: processor time that one may
    take. batch: mutants that one child tries. growth: MiB that memory may grow by for one; plans may ask for tensors of
    2^28 float32.
    """

    module: str
    wanted: int
    seconds: float
    batch: int
    growth: int = 1536

    def run(self, seed, folder):
        return self._module.run(seed, folder)

    def warm(self):
        self._module.warm()

    @property
    def _module(self):
        return importlib.import_module(f"tests.fuzz.{self.module}")


KINDS = {
    "plans": Kind("plans", 20_000, 20, 100),
    "weights": Kind("weights", 2_000, 20, 100),
    "kept": Kind("kept", 1_000, 20, 50),
    "arrays": Kind("arrays", 1_000, 20, 100),
    "targets": Kind("targets", 5_000, 20, 100),
    "settings": Kind("settings", 3_000, 20, 100),
    "onnx": Kind("onnx_mutants", 3_000, 40, 20),
    "folders": Kind("folders", 1_000, 60, 10),
    "adapters": Kind("adapters", 2_000, 20, 100),
    "faults": Kind("faults", 0, 2, 4, growth=64),
}
ALL = [name for name, kind in KINDS.items() if kind.wanted]
