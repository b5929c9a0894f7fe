"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tilewright.compiler.cli import completion

CRITERIA = ("divergence", "task", "output-noise", "gradient", "product-error", "weight-error", "neuron-norm")
"""Criteria of sensitivity; the table of them loads torch."""
TASKS = (
    "bits-per-byte", "glue/cola", "glue/mnli", "glue/mnli-mismatched", "glue/mrpc", "glue/mrpc-accuracy", "glue/qnli",
    "glue/qqp", "glue/qqp-accuracy", "glue/rte", "glue/sst2", "glue/stsb", "glue/stsb-pearson", "glue/wnli",
    "image-classification", "image-classification-top5", "perplexity", "perplexity-per-word", "question-answering",
    "question-answering-exact", "stsb", "text-classification", "text-regression", "token-classification",
    "token-classification-accuracy",
)  # fmt: skip
"""Built-in tasks; the table of them loads torch."""
LOGGERS = ("wandb", "tensorboard", "mlflow")
"""Loggers of evaluations; the table of them loads torch."""
PlanFolder = Annotated[Path, typer.Argument(help="A plan's folder.")]
MeasuredPlan = Annotated[Path, typer.Argument(help="A plan's folder; figures are kept in it.")]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", help="A change of the target, such as tile.adc.bits=8. May be repeated."),
]
At = Annotated[
    list[str] | None,
    typer.Option(
        "--at",
        help="Sizes of the inputs, such as sequence=128 or batch=8,sequence=512. Repeated: a line each. "
        "cost takes those of generated texts too: prefill=512,decode=128,batch=8.",
    ),
]
Preset = Annotated[
    str | None,
    typer.Option(
        help="A cost preset by name (see: tilewright targets --kind cost) or YAML file; the chip's own.",
        autocompletion=completion.names_of("cost"),
    ),
]
Inputs = Annotated[
    Path | None,
    typer.Option(help="Sample inputs: .npz of input arrays, or .txt with a text a line; else tilewright's sentences."),
]
SampleCount = Annotated[int, typer.Option(help="How many samples count, at most.")]
CountedOutputs = Annotated[
    list[str] | None,
    typer.Option("--counted-output", help="An output that counts. May be repeated; all if none is named."),
]
TaskName = Annotated[
    str | None,
    typer.Option(
        help="A task with its data: glue/sst2 and the others of GLUE, text-classification, question-answering, "
        "image-classification, perplexity and others, lm-eval:NAME (a task of lm-evaluation-harness), one of an "
        "installed package, or FILE.py:CLASS (a file of yours, which is run). docs/tasks.md has all.",
        autocompletion=completion.words(*TASKS),
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        help="The task's data: a file, or a folder: GLUE's with dev.tsv, of images, for lm-eval of tasks of your own."
    ),
]
Adapter = Annotated[
    str | None,
    typer.Option(
        "--adapter",
        help="One of the plan's adapters (see: tilewright adapter list); the base alone without.",
        autocompletion=completion.adapters,
    ),
]
Limit = Annotated[int | None, typer.Option(help="Only the first so many examples of the task.")]
TaskOptions = Annotated[
    list[str] | None,
    typer.Option("--task-option", help="KEY=VALUE: an option of the task's own, such as stride=512. May be repeated."),
]
Time = Annotated[str, typer.Option(help="Time since programming: 0, 1s, 1h, 1d, 1w, 1mo, 1y.")]
Times = Annotated[str, typer.Option(help="Times since programming, with commas between.")]
Repeats = Annotated[int, typer.Option(help="Freshly programmed chips.")]
BatchSize = Annotated[int, typer.Option(help="Samples at once; the results do not depend on it.")]
Seed = Annotated[int, typer.Option(help="Names the chips.")]
DriftCompensation = Annotated[
    bool,
    typer.Option(
        "--drift-compensation/--no-drift-compensation", help="Undo the drift as the target does, or leave it as it is."
    ),
]
LayerByLayer = Annotated[
    bool,
    typer.Option(
        "--layer-by-layer",
        help="For plans larger than memory: program each layer when it is called, and drop it. The same results.",
    ),
]
Chips = Annotated[
    str | None, typer.Option(help="Chips by number, FIRST:END, in place of the first so many; for parts of many.")
]
UntilError = Annotated[
    str | None,
    typer.Option(
        help="Add chips until the standard error is so small at each time (0.1, or 1% of the mean), or iso-accuracy is "
        "decided (iso); --repeats is the most."
    ),
]
Results = Annotated[
    list[Path] | None,
    typer.Option(
        help="A file of measurements to add to; those in it are not made again. Repeated: others are only read."
    ),
]
TABLE_FORMATS = ("terminal", "csv", "markdown", "latex", "json")
"""Formats of tables."""
TableFormat = Annotated[
    str, typer.Option(help="terminal, csv, markdown, latex or json.", autocompletion=completion.words(*TABLE_FORMATS))
]
Fewest = Annotated[int, typer.Option(help="Chips to begin with, where an error says how many.")]
Resamples = Annotated[
    int, typer.Option(help="Resamples of the examples, for what other examples would give; 0 for none.")
]
Iso = Annotated[str, typer.Option(help="A* that iso-accuracy asks for, such as 99% or 0.99.")]
Log = Annotated[
    list[str] | None,
    typer.Option(
        help="Log to wandb, tensorboard or mlflow, if installed. May be repeated.",
        autocompletion=completion.words(*LOGGERS),
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace files that are there already.")]
Plot = Annotated[Path | None, typer.Option(help="A file for a plot, by its ending: .pdf, .svg or .png.")]
Workers = Annotated[
    int, typer.Option(help="Processes that measure chips side by side; the results do not depend on it.")
]
Dask = Annotated[
    str | None,
    typer.Option(
        "--dask",
        help="Measure on a dask cluster in place of own processes: tcp://HOST:PORT, its scheduler file, or a YAML file "
        "that describes one (docs/clusters.md).",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
