"""Drift of a network over time, and its cure: four ways to compensate drift, from a second to a year."""

from statistics import mean, stdev

import torch
from torch import nn

import tilewright

TIMES = ("1s", "1h", "1d", "1mo", "1y")
CHIPS = 4

torch.manual_seed(0)
network = nn.Sequential(nn.Linear(400, 500), nn.ReLU(), nn.Linear(500, 500), nn.ReLU(), nn.Linear(500, 20)).eval()
x = torch.randn(128, 400)
exact = network(x).detach()

print("relative error of the outputs in %, mean over", CHIPS, "chips ± standard deviation")
print(f"{'compensation':13}" + "".join(f"{time:>14}" for time in TIMES))
for compensation in ("none", "global", "per_column", "affine"):
    target = tilewright.load_target("pcm-512", {"drift_compensation": compensation})
    plan = tilewright.compile(network, target, example_inputs=x)
    errors: dict[str, list[float]] = {time: [] for time in TIMES}
    for repeat in range(CHIPS):  # the same chips each time: a seed and a repeat name one
        session = tilewright.Session(plan, seed=0, repeat=repeat)
        for time in TIMES:
            output = session.advance_to(time)(input=x)["output"]
            errors[time].append(100 * float((output - exact).norm() / exact.norm()))
    cells = [f"{mean(found):6.2f} ± {stdev(found):4.2f}" for found in errors.values()]
    print(f"{compensation:13}" + "".join(f"{cell:>14}" for cell in cells))
