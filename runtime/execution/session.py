"""A session: one programmed chip at one time, ready to be called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, overload

import torch
from torch import Tensor, nn

from tilewright.runtime.chip.analog_linear import AnalogLinear
from tilewright.runtime.chip.draws import Draws
from tilewright.runtime.chip.parallel import in_parallel
from tilewright.runtime.execution.adapting import with_chosen_adapter
from tilewright.runtime.execution.callbacks import OnLayer
from tilewright.runtime.execution.executable import Executable
from tilewright.runtime.execution.layer_builder import LayerBuilder
from tilewright.runtime.execution.on_demand import OnDemandLinear
from tilewright.runtime.plan.names import layer_path, matmul_path
from tilewright.runtime.plan.plan import Plan, chosen_plan
from tilewright.runtime.storage.memory_map import hand_back
from tilewright.runtime.units.full_precision import DigitalMatmul
from tilewright.targets.errors import InputError, nearest
from tilewright.targets.limits import check_flags, check_seed, check_whole
from tilewright.targets.times import parse_time

KEPT_AS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
"""Number formats that programmed conductances can be kept in."""


class Session(Executable):
    """A plan on a simulated chip.

    Creating one programs the chip that (seed, repeat) name. ``advance_to`` lets it drift; calling it runs the graph
    and returns the model's outputs by the model's names. The same plan, seed, repeat and time give the same bits
    whatever the batch size or number of threads, on one kind of processor, as far as arithmetic is on the chip:
    products on tiles and INT-n units are exact integer sums. Products in float (the digital reference, targets without
    a DAC) depend on the math library.

    Reads are numbered: each call reads the next samples, so calling twice with one input gives two different reads,
    and splitting a batch over several calls changes nothing. ``advance_to`` starts the count again.

    Threads may call one session at once, and a forked child may go on with its parent's, on one thread.
    """

    def __init__(
        self,
        plan: Plan,
        seed: int = 0,
        *,
        repeat: int = 0,
        adapter: str | None = None,
        ideal: bool = False,
        drift_compensation: bool = True,
        conductances: Literal["float32", "bfloat16"] = "float32",
        layer_by_layer: bool = False,
        on_layer: OnLayer | None = None,
    ) -> None:
        """Program a chip.

        seed, repeat: which chip. adapter: one of the plan's, whose layers run beside the chip's; the plan's own choice
        if None (see ``Plan.adapted``). Which one it is changes nothing of the chip. ideal: run the digital reference in
        full precision instead. drift_compensation: False switches the target's compensation off. conductances: what
        programmed ones are kept in; bfloat16 takes half the memory and adds less than a hundredth to the variance of
        programming. layer_by_layer: keep nothing of a layer on tiles between calls, for plans that are larger than
        memory: the same bits, but each call programs each layer anew. on_layer: called with each layer's name once it
        is programmed.
        Raises ``InputError`` for a plan without weights, or without that adapter, numbers out of range, and flags that
        are not True or False.
        """
        plan = chosen_plan(plan, adapter)
        plan.require_weights()
        check_seed(seed)
        check_whole("repeat", repeat, least=0)
        check_flags(ideal=ideal, drift_compensation=drift_compensation, layer_by_layer=layer_by_layer)
        if conductances not in KEPT_AS:
            raise InputError(f"conductances are kept as {conductances!r}; {nearest(str(conductances), KEPT_AS)}")
        self.seed, self.repeat, self.ideal, self.layer_by_layer = seed, repeat, ideal, layer_by_layer
        builder = LayerBuilder(
            plan.document,
            plan.tensors,
            Draws(seed, repeat),
            compensate=drift_compensation,
            kept_as=KEPT_AS[conductances],
            layer_by_layer=layer_by_layer,
        )
        modules: dict[str, nn.Module] = {}
        self._on_tiles: dict[str, AnalogLinear | OnDemandLinear] = {}
        layers = plan.document.layers
        built = in_parallel(builder.full_precision if ideal else builder.layer, layers)
        for layer, module in zip(layers, built, strict=True):
            modules[layer_path(layer.name)] = module
            if isinstance(module, AnalogLinear | OnDemandLinear):
                self._on_tiles[layer.name] = module
            if on_layer:
                on_layer(layer.name)
        self._settle()
        for matmul in plan.document.matmuls:
            modules[matmul_path(matmul.name)] = DigitalMatmul() if ideal else builder.matmul(matmul)
        self._base = modules
        super().__init__(plan, with_chosen_adapter(plan, modules))

    @torch.inference_mode()
    def advance_to(self, time: str | float, *, on_layer: OnLayer | None = None) -> Session:
        """Let the chip drift to a time after programming: seconds, or text such as "1h" or "1mo".

        Any time may follow any other: a chip's state depends on the time alone. Returns the session. Runs of other
        threads end first, and those that begin later wait.
        Raises ``InputError`` for a time before zero or of an unknown unit.
        """
        seconds = parse_time(time)
        with self._turns.changing():
            self.seconds, self._next_sample = seconds, 0
            advanced = in_parallel(lambda layer: layer.advance_to(seconds), list(self._on_tiles.values()))
            for name, _ in zip(self._on_tiles, advanced, strict=True):
                if on_layer:
                    on_layer(name)
            self._settle()
        return self

    def use_adapter(self, adapter: str | None) -> Session:
        """Change to another of the plan's adapters, or to the base alone; the chip stays as it is. Returns the session.

        Nothing is programmed or read. Runs of other threads end first. Raises ``InputError`` if the plan has none of
        that name.
        """
        plan = self.plan.adapted(adapter)
        with self._turns.changing():
            self._run_as(plan, with_chosen_adapter(plan, self._base), self)
        return self

    def with_adapter(self, adapter: str | None) -> Executable:
        """View of this chip as it is now with another of the plan's adapters, to be called beside this session.

        Everything but the adapter is shared: tasks that run side by side read the same devices. Samples are counted
        from 0, on their own. Raises ``InputError`` if the plan has no adapter of that name.
        """
        plan = self.plan.adapted(adapter)
        return self._view(plan, self.seconds)

    def at(self, time: str | float) -> Executable:
        """View of the chip at a time after programming, to be called beside this session, which stays where it is.

        The bits are those of ``advance_to``; samples are counted from 0, on their own. Programmed devices, source
        weights and digital layers are shared. What tiles are read with is held for each time: three bytes a weight on
        tiles, of the seven that a session holds beside the source weights. Layers of a session that is run layer by
        layer hold nothing.
        Raises ``InputError`` for a time before zero or of an unknown unit.
        """
        return self._view(self.plan, parse_time(time))

    @torch.inference_mode()
    def _view(self, plan: Plan, seconds: float) -> Executable:
        """View of the chip at a time, with the adapter of a plan that is this one but for it."""
        with self._turns.reading():
            modules = dict(self._base)
            made = in_parallel(lambda layer: layer.at(seconds), list(self._on_tiles.values()))
            for name, module in zip(self._on_tiles, made, strict=True):
                modules[layer_path(name)] = module
            self._settle()
            return Executable(plan, with_chosen_adapter(plan, modules), seconds, self)

    @overload
    def generate(
        self, prompts: str | Sequence[str], *, max_new_tokens: int = ..., until: Sequence[str] = ..., **how: Any
    ) -> list[str]: ...

    @overload
    def generate(
        self, prompts: Tensor, *, max_new_tokens: int = ..., until: Sequence[str] = ..., **how: Any
    ) -> Tensor: ...

    def generate(
        self, prompts: str | Sequence[str] | Tensor, *, max_new_tokens: int = 50, until: Sequence[str] = (), **how: Any
    ) -> list[str] | Tensor:
        """Texts that go on from prompts, by a plan of a causal language model: what is new alone.

        Of an encoder with a decoder, the texts that it writes for prompts: texts, or what else its encoder takes
        [batch, ...]. prompts: texts, or token ids [batch, sequence], for which all ids come back. max_new_tokens: at
        most so many. until: texts at the first of which a text ends. how: as transformers' ``generate`` takes it:
        do_sample, temperature, top_k, num_beams, and so on; without, the likeliest token is taken each time.
        Reads are named by the number of a prompt and the place of a token in it: a prompt has the same text whatever is
        beside it. Raises ``InputError`` for another kind of plan, prompts that are too long, and without transformers.
        """
        from tilewright.runtime.tasks.language.generate import generate

        return generate(self, prompts, max_new_tokens=max_new_tokens, until=until, **how)

    def _settle(self) -> None:
        """Hand back what was read and made while many layers were programmed or advanced."""
        if len(self._on_tiles) > 1:
            hand_back()

    def __repr__(self) -> str:
        """A line for a terminal."""
        model, chip = self.plan.document.model.name, self.plan.document.chip.name
        what = "digital reference" if self.ideal else f"chip {self.repeat} of seed {self.seed}"
        what += f", adapter {self.plan.adapter}" if self.plan.adapter is not None else ""
        return f"Session({model!r} on {chip}: {what}, {self.seconds:g} s after programming)"
