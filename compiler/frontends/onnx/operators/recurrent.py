"""ONNX operators of recurrent layers: products with the inputs, and a loop over what needs the step before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.functional import linear

from tilewright.compiler.frontends.loops import STEPS, loop
from tilewright.compiler.frontends.onnx.call import Call
from tilewright.compiler.frontends.onnx.operators.registry import operator
from tilewright.compiler.frontends.onnx.values import Value
from tilewright.targets.errors import nearest

Function = tuple[str, float, float]
"""Activation: its name in small letters, alpha and beta."""
FUNCTIONS: dict[str, Callable[[Tensor, float, float], Tensor]] = {
    "relu": lambda x, _a, _b: torch.relu(x),
    "tanh": lambda x, _a, _b: torch.tanh(x),
    "sigmoid": lambda x, _a, _b: torch.sigmoid(x),
    "affine": lambda x, a, b: a * x + b,
    "leakyrelu": lambda x, a, _b: torch.where(x >= 0, x, a * x),
    "thresholdedrelu": lambda x, a, _b: torch.where(x >= a, x, torch.zeros_like(x)),
    "scaledtanh": lambda x, a, b: a * torch.tanh(b * x),
    "hardsigmoid": lambda x, a, b: (a * x + b).clamp(0, 1),
    "elu": lambda x, a, _b: functional.elu(x, a),
    "softsign": lambda x, _a, _b: x / (1 + x.abs()),
    "softplus": lambda x, _a, _b: functional.softplus(x),
}
"""Activations by ONNX's names in small letters."""
DEFAULTS = {
    "affine": (1.0, 0.0), "leakyrelu": (0.01, 0.0), "thresholdedrelu": (1.0, 0.0), "scaledtanh": (1.0, 1.0),
    "hardsigmoid": (0.2, 0.5), "elu": (1.0, 0.0),
}  # fmt: skip
"""Alpha and beta of activations that have them, where they are not given."""
USUAL = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}
"""Activations of a direction, where none are given."""
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def _applied(function: Function, x: Tensor, clip: float | None) -> Tensor:
    """An activation of gates, which are clipped first where there is a limit."""
    name, alpha, beta = function
    return FUNCTIONS[name](x if clip is None else x.clamp(-clip, clip), alpha, beta)


def lstm_step(
    hidden: Tensor, cell: Tensor, gates: Tensor, *others: Tensor, functions: Sequence[Function], clip: float | None,
    coupled: bool, biased: bool, peepholes: bool, lengths: bool,
) -> list[Tensor]:  # fmt: skip
    """Step of ONNX's LSTM: gates in the order input, output, forget, cell."""
    before, inside, (matrix, bias, *more) = (hidden, cell), *_taken(others, biased, lengths)
    to_gates, to_cell, to_output = functions
    enter, leave, forget, new = (gates + linear(hidden, matrix, bias)).chunk(4, -1)
    if peepholes:
        of_enter, of_leave, of_forget = more[0].chunk(3, -1)
        enter, forget = enter + of_enter * cell, forget + of_forget * cell
    enter = _applied(to_gates, enter, clip)
    forget = 1 - enter if coupled else _applied(to_gates, forget, clip)
    cell = forget * cell + enter * _applied(to_cell, new, clip)
    leave = _applied(to_gates, leave + of_leave * cell if peepholes else leave, clip)
    hidden = leave * _applied(to_output, cell, None)
    return _kept([hidden, cell], before, inside)


def gru_step(
    hidden: Tensor, gates: Tensor, *others: Tensor, functions: Sequence[Function], clip: float | None,
    reset_after: bool, biased: bool, lengths: bool,
) -> list[Tensor]:  # fmt: skip
    """Step of ONNX's GRU: gates in the order update, reset, hidden."""
    before, inside, (matrix, bias, *more) = (hidden,), *_taken(others, biased, lengths)
    to_gates, to_hidden = functions
    of_update, of_reset, of_new = gates.chunk(3, -1)
    if reset_after:
        update, reset, new = linear(hidden, matrix, bias).chunk(3, -1)
    else:
        update, reset = linear(hidden, matrix, bias).chunk(2, -1)
    update, reset = _applied(to_gates, of_update + update, clip), _applied(to_gates, of_reset + reset, clip)
    new = reset * new if reset_after else linear(reset * hidden, more[0], more[1] if biased else None)
    new = _applied(to_hidden, of_new + new, clip)
    return _kept([(1 - update) * new + update * hidden], before, inside)


def rnn_step(
    hidden: Tensor, gates: Tensor, *others: Tensor, functions: Sequence[Function], clip: float | None, biased: bool,
    lengths: bool,
) -> list[Tensor]:  # fmt: skip
    """Step of ONNX's RNN."""
    before, inside, (matrix, bias) = (hidden,), *_taken(others, biased, lengths)
    hidden = _applied(functions[0], gates + linear(hidden, matrix, bias), clip)
    return _kept([hidden], before, inside)


def _taken(others: Sequence[Tensor], biased: bool, lengths: bool) -> tuple[Tensor | None, list[Any]]:
    """Mask of the samples that have this step, if lengths differ; then matrix, bias or None, and the rest."""
    mask, weights = (others[0], others[1:]) if lengths else (None, others)
    matrix, *rest = weights
    return mask, [matrix, *rest] if biased else [matrix, None, *rest]


def _kept(after: list[Tensor], before: Sequence[Tensor], mask: Tensor | None) -> list[Tensor]:
    """States, and the first as output: samples that ended keep their states, and give zeros."""
    if mask is None:
        return [*after, after[0]]
    states = [torch.where(mask, new, old) for new, old in zip(after, before, strict=True)]
    return [*states, torch.where(mask, after[0], torch.zeros_like(after[0]))]


STEPS |= {"onnx-lstm": lstm_step, "onnx-gru": gru_step, "onnx-rnn": rnn_step}


@operator("LSTM")
def lstm(call: Call) -> tuple[Value, ...]:
    """Long short-term memory: directions, peepholes, clip, input_forget, activations, lengths, layout."""
    options = {"coupled": bool(call.attribute("input_forget", 0)), "peepholes": call.has(7)}
    return _run(
        call, "onnx-lstm", 2, options, [call.optional_tensor(5), call.optional_tensor(6)], call.optional_tensor(7)
    )


@operator("GRU")
def gru(call: Call) -> tuple[Value, ...]:
    """Gated recurrent unit: directions, linear_before_reset, clip, activations, lengths, layout."""
    options = {"reset_after": bool(call.attribute("linear_before_reset", 0))}
    return _run(call, "onnx-gru", 1, options, [call.optional_tensor(5)], None)


@operator("RNN")
def rnn(call: Call) -> tuple[Value, ...]:
    """Elman's network: directions, clip, activations, lengths, layout."""
    return _run(call, "onnx-rnn", 1, {}, [call.optional_tensor(5)], None)


def _run(
    call: Call, step: str, states: int, options: dict[str, Any], given: list[Tensor | None], peepholes: Tensor | None
) -> tuple[Value, ...]:
    """All steps of the operator, in its directions: outputs of all steps, then the last states."""
    x, of_input, of_states = call.tensor(0), call.tensor(1), call.tensor(2)
    biases, lengths, batch_first = call.optional_tensor(3), call.optional_tensor(4), bool(call.attribute("layout", 0))
    x = x.transpose(0, 1) if batch_first else x
    directions, hidden = of_states.shape[0], of_states.shape[-1]
    asked = call.attribute("direction", "forward")
    if asked not in ("forward", "reverse", "bidirectional") or directions != (2 if asked == "bidirectional" else 1):
        raise call.refuse(f"direction is {asked!r}, and its weights are of {directions}")
    functions = _functions(call, directions)
    clip = call.attribute("clip")
    outputs, last = [], []
    for direction in range(directions):
        backwards = asked == "reverse" or direction == 1
        start = [_start(one, direction, x, hidden, batch_first) for one in given[:states]]
        own_input, own_states = of_input[direction], _state_matrices(of_states[direction], options, hidden)
        first_bias, state_biases = _biases(None if biases is None else biases[direction], options, hidden)
        gates = linear(x, own_input, first_bias)
        gates = _reversed(gates, lengths) if backwards else gates
        others = [*_paired(own_states, state_biases), *([] if peepholes is None else [peepholes[direction]])]
        masks = [] if lengths is None else [_masks(x, lengths)]
        *after, found = loop(
            step, start, [gates, *masks], others, functions=functions[direction], clip=clip,
            biased=biases is not None, lengths=lengths is not None, **options,
        )  # fmt: skip
        outputs.append(_reversed(found, lengths) if backwards else found)
        last.append(after)
    every = torch.stack(outputs, 1)  # [steps, directions, batch, hidden]
    ends = [torch.stack([after[number] for after in last]) for number in range(states)]
    if batch_first:
        every, ends = every.permute(2, 0, 1, 3), [end.transpose(0, 1) for end in ends]
    return (every, *ends)


def _functions(call: Call, directions: int) -> list[list[Function]]:
    """Activations of each direction, with the numbers that they take."""
    usual = USUAL[call.node.operator]
    given = call.attribute("activations") or [*usual] * directions
    names = [name.decode(errors="replace") if isinstance(name, bytes) else str(name) for name in given]
    if len(names) != len(usual) * directions:
        raise call.refuse(f"activations are {names}; it takes {len(usual) * directions}")
    alphas, betas = list(call.attribute("activation_alpha") or []), list(call.attribute("activation_beta") or [])
    found: list[Function] = []
    for name in names:
        small = name.lower()
        if small not in FUNCTIONS:
            raise call.refuse(f"activation {name!r}; {nearest(small, FUNCTIONS)}")
        usual_alpha, usual_beta = DEFAULTS.get(small, (0.0, 0.0))
        takes_alpha, takes_beta = small in DEFAULTS, small in ("affine", "scaledtanh", "hardsigmoid")
        alpha = alphas.pop(0) if takes_alpha and alphas else usual_alpha
        beta = betas.pop(0) if takes_beta and betas else usual_beta
        found.append((small, float(alpha), float(beta)))
    return [found[place : place + len(usual)] for place in range(0, len(found), len(usual))]


def _start(given: Tensor | None, direction: int, x: Tensor, hidden: int, batch_first: bool) -> Tensor:
    """State before the first step [batch, hidden]: zeros where none is given."""
    if given is None:
        return x.new_zeros(x.shape[1], hidden)
    return given[:, direction] if batch_first else given[direction]


def _state_matrices(matrix: Tensor, options: dict[str, Any], hidden: int) -> list[Tensor]:
    """Matrices that multiply states: one, or two where a GRU resets before it multiplies."""
    if options.get("reset_after", True):
        return [matrix]
    return [matrix[: 2 * hidden], matrix[2 * hidden :]]


def _biases(given: Tensor | None, options: dict[str, Any], hidden: int) -> tuple[Tensor | None, list[Tensor]]:
    """Bias of the inputs' product, and of the states' products."""
    if given is None:
        return None, []
    of_input, of_states = given.chunk(2)
    return of_input, _state_matrices(of_states, options, hidden)


def _paired(matrices: list[Tensor], biases: list[Tensor]) -> list[Tensor]:
    """Matrices with their biases behind them, where there are any."""
    if not biases:
        return matrices
    return [one for pair in zip(matrices, biases, strict=True) for one in pair]


def _masks(x: Tensor, lengths: Tensor) -> Tensor:
    """Masks [steps, batch, 1]: True where a sample has that step."""
    steps = torch.arange(x.shape[0], device=x.device)
    return (steps.unsqueeze(1) < lengths.to(torch.int64).unsqueeze(0)).unsqueeze(-1)


def _reversed(values: Tensor, lengths: Tensor | None) -> Tensor:
    """Steps [steps, batch, ...] in reverse order, each sample's own ones where lengths differ."""
    if lengths is None:
        return values.flip(0)
    steps, own = torch.arange(values.shape[0], device=values.device).unsqueeze(1), lengths.to(torch.int64).unsqueeze(0)
    places = torch.where(steps < own, own - 1 - steps, steps).unsqueeze(-1).expand(-1, -1, values.shape[-1])
    return values.gather(0, places)
