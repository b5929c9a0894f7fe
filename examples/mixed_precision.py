"""Layers that deserve the better target: sensitivities, then the least error for each energy, and what comes out."""

import torch
from torch import nn

import tilewright


class Network(nn.Module):
    """Residual blocks whose layers matter more and more, and a head."""

    def __init__(self) -> None:
        """Weights of the later blocks are larger."""
        super().__init__()
        blocks = [nn.Linear(256, 256) for _ in range(5)]
        self.blocks, self.head = nn.ModuleList(blocks), nn.Linear(256, 10)
        with torch.no_grad():
            for number, block in enumerate(blocks):
                block.weight.mul_(0.3 + 0.5 * number)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: [batch, 256] -> [batch, 10]."""
        for block in self.blocks:
            x = x + torch.tanh(block(x))
        y: torch.Tensor = self.head(x)
        return y


torch.manual_seed(0)
x = torch.randn(64, 256)
plan = tilewright.compile(Network().eval(), "pcm-512-mixed", example_inputs=x, name="five blocks")

# 1. What would each layer do to the outputs, on each target? Predicted by gradients, and measured.
sensitivity = tilewright.measure_sensitivity(plan, ["gradient", "divergence"], inputs={"x": x}, time="1mo")
for layer in plan.document.layers:
    predicted, measured = (sensitivity.of(name)[layer.name, "pcm-512"] for name in ("gradient", "divergence"))
    print(f"{layer.name:9} on pcm-512: predicted {predicted:.4f}, measured {measured:.4f}")
for line in sensitivity.correlations()[:1]:
    print(f"rank correlation {line.correlation:.2f}")

# 2. The least loss for each energy, between all layers on tiles and all on the most precise unit.
cheapest = tilewright.assign(plan, sensitivity, minimise="energy").predicted["energy"]
precise = tilewright.assign(plan, sensitivity, minimise="loss").predicted["energy"]
for share in (0.0, 0.1, 0.3, 1.0):
    budget = cheapest + share * (precise - cheapest)

    # 3. And what comes out, on three chips that had no part in the choice.
    made = tilewright.assign(
        plan, sensitivity, budgets={"energy": budget}, inputs={"x": x}, samples=64, time="1mo", repeats=3
    )
    assert made.record.measured is not None
    measured = made.record.measured.divergence
    on_tiles = sum(target == "pcm-512" for target in made.choice.values())
    loss = made.predicted["loss"]
    print(f"{budget:7.1f} nJ: {on_tiles} layers on tiles, loss {loss:.5f}, measured {measured:.5f}")
