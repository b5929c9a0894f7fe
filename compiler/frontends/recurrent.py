"""Recurrent layers of torch, LSTM, GRU and RNN, as products and loops.

torch would unroll their steps, which fixes how many there are. Tracing is kept from looking into them; then each
becomes products with the inputs, of all steps at once, and a loop over what needs the step before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.nn.functional import linear

from tilewright.compiler.frontends.loops import STEPS, loop

aten = torch.ops.aten
COMPOSITE = torch._C.DispatchKey.CompositeImplicitAutograd
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {"tanh": torch.tanh, "relu": torch.relu}


def lstm_step(hidden: Tensor, cell: Tensor, gates: Tensor, *weights: Tensor, biases: bool) -> list[Tensor]:
    """Step of a long short-term memory; its output is projected where there is one weight more."""
    matrix, bias, *projection = _weights(weights, biases)
    enter, forget, new, leave = (gates + linear(hidden, matrix, bias)).chunk(4, -1)
    cell = torch.sigmoid(forget) * cell + torch.sigmoid(enter) * torch.tanh(new)
    hidden = torch.sigmoid(leave) * torch.tanh(cell)
    hidden = linear(hidden, projection[0]) if projection else hidden
    return [hidden, cell, hidden]


def gru_step(hidden: Tensor, gates: Tensor, *weights: Tensor, biases: bool) -> list[Tensor]:
    """Step of a gated recurrent unit."""
    matrix, bias = _weights(weights, biases)
    of_input, of_hidden = gates.chunk(3, -1), linear(hidden, matrix, bias).chunk(3, -1)
    reset, update = (torch.sigmoid(one + other) for one, other in zip(of_input[:2], of_hidden[:2], strict=True))
    new = torch.tanh(of_input[2] + reset * of_hidden[2])
    hidden = (hidden - new) * update + new
    return [hidden, hidden]


def rnn_step(hidden: Tensor, gates: Tensor, *weights: Tensor, biases: bool, function: str) -> list[Tensor]:
    """Step of Elman's network."""
    matrix, bias = _weights(weights, biases)
    hidden = FUNCTIONS[function](gates + linear(hidden, matrix, bias))
    return [hidden, hidden]


def _weights(weights: Sequence[Tensor], biases: bool) -> list[Any]:
    """Matrix and bias of the states, None where there is none, then a projection if there is one."""
    matrix, *others = weights
    return [matrix, *others] if biases else [matrix, None, *others]


STEPS |= {"lstm": lstm_step, "gru": gru_step, "rnn": rnn_step}
CELLS: dict[Any, tuple[str, dict[str, Any]]] = {
    aten.lstm.input: ("lstm", {}),
    aten.gru.input: ("gru", {}),
    aten.rnn_tanh.input: ("rnn", {"function": "tanh"}),
    aten.rnn_relu.input: ("rnn", {"function": "relu"}),
}
"""Operators of recurrent layers, with their step and what it takes."""
OF_A_CELL: dict[Any, tuple[str, dict[str, Any]]] = {
    aten.lstm_cell.default: ("lstm", {}),
    aten.gru_cell.default: ("gru", {}),
    aten.rnn_tanh_cell.default: ("rnn", {"function": "tanh"}),
    aten.rnn_relu_cell.default: ("rnn", {"function": "relu"}),
}
"""Operators of one step, which a model's own code repeats."""


def run_layers(
    step: str, options: dict[str, Any], inputs: Tensor, hidden: Sequence[Tensor] | Tensor, weights: Sequence[Tensor],
    biases: bool, layers: int, _dropout: float, _train: bool, bidirectional: bool, batch_first: bool,
) -> tuple[Tensor, ...]:  # fmt: skip
    """Outputs and last states of all layers, as aten's operators of recurrent layers give them."""
    given = [hidden] if isinstance(hidden, Tensor) else list(hidden)
    directions = 2 if bidirectional else 1
    each = len(weights) // (layers * directions)
    values = inputs.transpose(0, 1) if batch_first else inputs
    last: list[list[Tensor]] = []
    for layer in range(layers):
        outputs = []
        for direction in range(directions):
            place = layer * directions + direction
            of_input, *of_states = weights[place * each : (place + 1) * each]
            bias = of_states.pop(1) if biases else None
            gates = linear(values, of_input, bias)
            gates = gates.flip(0) if direction else gates
            *states, found = loop(step, [one[place] for one in given], [gates], of_states, biases=biases, **options)
            outputs.append(found.flip(0) if direction else found)
            last.append(states)
        values = outputs[0] if directions == 1 else torch.cat(outputs, -1)
    values = values.transpose(0, 1) if batch_first else values
    return (values, *(torch.stack(states) for states in zip(*last, strict=True)))


def run_cell(
    step: str, options: dict[str, Any], inputs: Tensor, states: Sequence[Tensor] | Tensor, of_input: Tensor,
    of_states: Tensor, input_bias: Tensor | None = None, state_bias: Tensor | None = None,
) -> tuple[Tensor, ...] | Tensor:  # fmt: skip
    """New states of one step, as aten's operators of cells give them."""
    biases = [] if state_bias is None else [state_bias]
    given = [states] if isinstance(states, Tensor) else list(states)
    gates = linear(inputs, of_input, input_bias)
    after = STEPS[step](*given, gates, of_states, *biases, biases=bool(biases), **options)
    return after[0] if isinstance(states, Tensor) else tuple(after[: len(given)])


AS_LOOPS: dict[Any, Callable[..., Any]] = {
    **{operator: partial(run_layers, *how) for operator, how in CELLS.items()},
    **{operator: partial(run_cell, *how) for operator, how in OF_A_CELL.items()},
}
"""Recurrent layers and cells written as products and loops."""


@contextmanager
def recurrent_layers_whole() -> Iterator[None]:
    """Let torch.export take recurrent layers as one operator each while the ``with`` block runs."""
    with ExitStack() as stack:
        for operator in CELLS:
            before = operator.py_kernels.get(COMPOSITE)
            operator.py_kernels[COMPOSITE] = partial(_results, operator)
            operator._dispatch_cache.clear()
            stack.callback(_put_back, operator, before)
        yield


def _put_back(operator: Any, before: Any) -> None:
    operator.py_kernels.pop(COMPOSITE)
    if before is not None:
        operator.py_kernels[COMPOSITE] = before
    operator._dispatch_cache.clear()


def _results(
    operator: Any, inputs: Tensor, hidden: Any, weights: Sequence[Tensor], biases: bool, layers: int, dropout: float,
    train: bool, bidirectional: bool, batch_first: bool,
) -> tuple[Tensor, ...]:  # fmt: skip
    """Results of a recurrent layer: while shapes alone are traced, tensors of their shapes."""
    if not isinstance(inputs, FakeTensor):
        given = (inputs, hidden, weights, biases, layers, dropout, train, bidirectional, batch_first)
        found: tuple[Tensor, ...] = operator._op_dk(COMPOSITE, *given)
        return found
    states = [hidden] if isinstance(hidden, Tensor) else list(hidden)
    size = states[0].shape[-1] * (2 if bidirectional else 1)
    return (inputs.new_empty(*inputs.shape[:-1], size), *(one.new_empty(one.shape) for one in states))
