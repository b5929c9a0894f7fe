"""A layer with an adapter: low-rank matrices beside its columns, or digital ones in their place.

y = W x + scale * B A x: W is the base's layer, on tiles or wherever it runs, and knows nothing of the adapter. B and A
see the digital x, not the converted one. Their sums are in float64 and rounded to float32 once, so that they do not
depend on the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from tilewright.runtime.chip.chosen_rows import read_chosen
from tilewright.runtime.chip.fixed_precision import FixedPrecision


@dataclass(frozen=True)
class Beside:
    """Low-rank matrices beside the columns [first, stop) of a layer: A [rank, in], B [columns, rank] with the scale."""

    columns: tuple[int, int]
    a: Tensor
    b: Tensor


@dataclass(frozen=True)
class Instead:
    """Matrix [columns, in] and bias [columns] in place of the columns [first, stop) of a layer."""

    columns: tuple[int, int]
    weight: Tensor
    bias: Tensor | None


class AdaptedLinear(FixedPrecision):
    """A layer with an adapter. Tensors of both are float64; outputs are float32."""

    def __init__(
        self, base: nn.Module, outputs: int, pieces: Sequence[Beside | Instead], *, is_replaced: bool = False
    ) -> None:
        """Hold the base's layer, which is not run if every column is replaced. outputs: of the adapted layer."""
        super().__init__()
        self.base, self.outputs, self.is_replaced = base, outputs, is_replaced
        self._columns = [(piece.columns, isinstance(piece, Beside)) for piece in pieces]
        for number, piece in enumerate(pieces):
            pair = (piece.a, piece.b) if isinstance(piece, Beside) else (piece.weight, piece.bias)
            self.hold(f"first_{number}", pair[0])
            self.hold(f"second_{number}", pair[1])

    def forward(self, x: Tensor, use: int = 0, chosen: Tensor | None = None) -> Tensor:
        """Outputs [..., out] of inputs x [..., in].

        chosen: vectors [...] that are read, all if None; see ``read_chosen``.
        """
        if chosen is None:
            made: Tensor = x.new_empty(*x.shape[:-1], self.outputs) if self.is_replaced else self.base(x, use)
            return self._with_pieces(x, made)
        made = x.new_empty(*x.shape[:-1], self.outputs) if self.is_replaced else self.base(x, use, chosen)
        return read_chosen(
            x, chosen, self.outputs, lambda values, rows: self._with_pieces(values, made.view(-1, self.outputs)[rows])
        )

    def _with_pieces(self, x: Tensor, made: Tensor) -> Tensor:
        """The base's outputs [..., out] with what the adapter adds or puts in their place."""
        exact = x.double()
        for number, ((first, stop), is_beside) in enumerate(self._columns):
            one, other = getattr(self, f"first_{number}"), getattr(self, f"second_{number}")
            columns = made[..., first:stop]
            if is_beside:
                added = functional.linear(functional.linear(exact, one), other)
                columns.copy_(columns.double().add(added))
            else:
                columns.copy_(functional.linear(exact, one, other))
        return made
