"""A plan as other processes are told of it: its folder and its hash. It is opened once in each."""

from __future__ import annotations

import copy
import pickle
import tempfile
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tilewright.runtime.measuring.open_once import OpenOnce
from tilewright.runtime.measuring.workers import Workers, is_here
from tilewright.runtime.plan.plan import Plan, load
from tilewright.targets.errors import InputError
from tilewright.targets.paths import shown_path

FACTOR = 1.9
"""Memory that a session takes, in parts of the weights in their file, which processes share."""


@dataclass(frozen=True)
class SentPlan:
    """Plan in a folder. adapter: that is chosen. sha256: of what it does on a chip, which must be the same there."""

    folder: Path
    adapter: str | None
    sha256: str

    def opened(self) -> Plan:
        """Plan in this process. Raises ``InputError`` if it is another one by now."""
        return _OPEN.get(self, self._loaded)

    def _loaded(self) -> Plan:
        plan = load(self.folder).adapted(self.adapter)
        if plan.sha256 != self.sha256:
            raise InputError(f"the plan in {shown_path(self.folder)} is another than when measuring began")
        return plan


_OPEN = OpenOnce[Plan]()


@contextmanager
def plan_for(
    plan: Plan, needs: object, items: int, workers: int | Workers, executor: Executor | None
) -> Iterator[SentPlan | None]:
    """The plan as other processes open it, for as long as the block lasts; None if so many items are done here.

    needs: what they need beside it. A plan without a folder is written to a temporary one. Raises ``InputError`` for
    needs that cannot be sent, and for a plan without a folder where an executor may be on other machines.
    """
    if is_here(items, workers, executor):
        yield None
        return
    check_sendable(needs)
    if plan.folder is not None:
        yield SentPlan(plan.folder.absolute(), plan.adapter, plan.sha256)
        return
    if executor is not None:
        raise InputError("a plan that other machines are to run must be in a folder that they can read: save it first")
    with tempfile.TemporaryDirectory(prefix="tilewright-", ignore_cleanup_errors=True) as made:
        written = copy.copy(plan.adapted(None))  # the plan itself stays without a folder
        folder = written.save(Path(made) / "plan")
        yield SentPlan(folder, plan.adapter, written.adapted(plan.adapter).sha256)


def check_sendable(needs: object) -> None:
    """Raise ``InputError`` for a task that other processes cannot be given, or what else they would need."""
    try:
        pickle.dumps(needs)
    except (pickle.PicklingError, AttributeError, TypeError, RecursionError) as error:
        raise InputError(
            f"the task cannot be sent to other processes: {error}; define its functions at the top of a module, or "
            "name it as FILE.py:CLASS"
        ) from error


def session_memory(plan: Plan) -> int:
    """Bytes that a session of a plan takes, about."""
    record = plan.document.weights
    return int(FACTOR * record.bytes) if record is not None else 0
