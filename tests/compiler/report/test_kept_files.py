"""Files kept beside a plan are as untrusted as the plan."""

import json
import math
from typing import Any

import torch
from torch import nn

import tilewright
from tilewright.compiler.report.csv_rows import plans_csv
from tilewright.compiler.report.finite_json import json_text
from tilewright.compiler.report.html import report_page
from tilewright.compiler.report.markdown import markdown
from tilewright.compiler.report.summary import summarise
from tilewright.compiler.sensitivity.measure import options_sha256

HOSTILE: list[Any] = [0, -1, 1e308, math.inf, math.nan, 2**62, 10**400, None, "x", True, [1], {}, "x" * 2**20]


def test_kept_files_are_of_strangers(tmp_path):
    """Whatever is in the place of a number or a name, every report can be made of what is left."""
    network = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 6))
    plan = tilewright.compile(network, example_inputs={"input": torch.randn(4, 12)})
    plan.save(tmp_path / "plan")
    layer = plan.document.layers[0]
    figure = {"plan": options_sha256(plan), "criterion": "gradient", "layer": layer.name, "target": layer.target,
              "value": 1.0}  # fmt: skip
    interval = {"low": 70.0, "high": 85.0}
    estimate = {"mean": 0.9, "standard_error": 0.1, "over_examples": interval, "over_both": interval}
    point = {"time": "1d", "seconds": 86400.0, "values": [80.0], "mean": 80.0, "standard_error": None,
             "over_examples": interval, "over_both": interval, "difference": estimate, "normalised": estimate,
             "iso_accuracy": "fails"}  # fmt: skip
    evaluation = {"plan": plan.sha256, "task": "stsb", "metric": "m", "examples": 3, "seed": 0, "repeats": 1,
                  "drift_compensation": True, "digital": 90.0, "points": [point], "more": [[[]]],
                  "digital_over_examples": interval, "resamples": 200, "left_out": 0, "iso": 0.99, "iso_figure": 89.1,
                  "notes": ["x"]}  # fmt: skip
    for hostile in HOSTILE:
        figures = [{**figure, key: hostile} for key in figure]
        evaluations = [{**evaluation, key: hostile} for key in evaluation]
        evaluations += [{**evaluation, "points": [{**point, key: hostile}, point]} for key in point]
        for part in ({**estimate, "mean": hostile}, {**estimate, "over_both": {"low": hostile, "high": 1.0}}):
            evaluations.append({**evaluation, "points": [{**point, "normalised": part, **part}]})
        for file, lines in (("sensitivity.jsonl", figures), ("evaluations.jsonl", evaluations)):
            deep = '{"value":' + "[" * 100_000
            text = "\n".join([*map(json.dumps, lines), deep, "\0"])
            (tmp_path / "plan" / file).write_text(text)
        report = summarise(plan)
        assert report_page(report)
        assert plans_csv([report])
        assert markdown(report)
        assert json_text(report.to_json())
