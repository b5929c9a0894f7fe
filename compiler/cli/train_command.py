"""tilewright train"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tilewright.compiler.cli import completion, options
from tilewright.compiler.cli.console import errors, output, print_json, progress_bar
from tilewright.compiler.cli.settings import parse_changes, parse_task_options, parse_values
from tilewright.targets.errors import InputError
from tilewright.targets.loading import DEFAULT_CHIP, load_chip, load_recipe


def train_command(
    model: Annotated[str, typer.Argument(metavar="source", help="A HuggingFace folder or hub name.")],
    task: Annotated[
        str,
        typer.Option(
            help="A task that evaluate knows and that has a loss, such as glue/sst2, text-classification, perplexity "
            "or image-classification.",
            autocompletion=completion.words(*options.TASKS),
        ),
    ],
    data: Annotated[Path, typer.Option(help="The task's data: GLUE's folder with train.tsv and dev.tsv, or a file.")],
    folder: Annotated[Path, typer.Option("-o", "--output", help="The folder to write the trained model to.")],
    target: Annotated[
        str | None,
        typer.Option(
            help="A target's name (see: tilewright targets) or a YAML file; pcm-512 without it.",
            autocompletion=completion.names_of("chip", "analog"),
        ),
    ] = None,
    recipe: Annotated[
        str,
        typer.Option(
            help="A recipe's name (see: tilewright targets --kind recipe) or a YAML file; digital imposes nothing.",
            autocompletion=completion.names_of("recipe"),
        ),
    ] = "device-noise",
    evaluate_on: Annotated[
        Path | None, typer.Option(help="Other data to evaluate on; of GLUE's folder dev.tsv.")
    ] = None,
    task_options: options.TaskOptions = None,
    teacher: Annotated[
        str | None, typer.Option(help="The digital model to distil from; the model before training if none is named.")
    ] = None,
    adapter_of: Annotated[
        Path | None,
        typer.Option(
            help="A plan of the model: train an adapter beside it, for the plan's chips, and leave the model as it is."
        ),
    ] = None,
    changes: options.Changes = None,
    recipe_changes: Annotated[
        list[str] | None,
        typer.Option("--set-recipe", help="A change of the recipe, such as weight_noise.strength=3. May be repeated."),
    ] = None,
    attention_bits: Annotated[
        str, typer.Option(help="BITS of the attention units: 2 to 16, bf16, fp32, a unit's name, or target.")
    ] = "target",
    epochs: Annotated[float | None, typer.Option(help="Times that each example is seen; the recipe's.")] = None,
    steps: Annotated[int | None, typer.Option(help="Steps of the optimiser, in place of epochs.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Largest learning rate; the recipe's.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Examples in a batch; the recipe's.")] = None,
    accumulate: Annotated[int, typer.Option(help="Batches whose gradients make one step.")] = 1,
    limit: Annotated[int | None, typer.Option(help="Only the first so many examples to train on.")] = None,
    evaluation_limit: Annotated[int | None, typer.Option(help="Only the first so many to evaluate on.")] = None,
    evaluate_every: Annotated[
        int | None, typer.Option(help="Steps between evaluations on chips, of which the best weights are kept.")
    ] = None,
    times: options.Times = "1s,1mo",
    repeats: Annotated[int, typer.Option(help="Freshly programmed chips of each evaluation; 0 for none.")] = 3,
    save_every: Annotated[
        int | None, typer.Option(help="Steps between checkpoints, in OUTPUT.checkpoints, that --resume goes on from.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint, with the same bits; all else as it began.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Names the noise, the order of examples, dropout and a new head.")] = 0,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a trained model, and checkpoints of a stopped training.")
    ] = False,
    as_json: options.AsJson = False,
) -> None:
    """Train a model for a chip, on a task: its own noise and converters are imposed while it learns.

    The folder holds the model's files, with ranges beside the weights, or an adapter: tilewright compile takes both.
    """
    from tilewright.compiler.training.trained_folder import TRAINED
    from tilewright.runtime.storage.atomic_folder import check_destination

    check_destination(folder, TRAINED, overwrite=force)
    if adapter_of is not None and changes:
        raise InputError("--set changes a target, and an adapter is trained for the chips of its plan; leave it out")
    chip = load_chip(target or DEFAULT_CHIP, parse_changes(changes)) if target or changes else None
    loaded = load_recipe(recipe, parse_values(recipe_changes, "set-recipe", "weight_noise.strength=3"))
    own = parse_task_options(task_options)
    from tilewright.compiler.training.train import train
    from tilewright.runtime.measuring.evaluation import Evaluation
    from tilewright.targets.times import parse_times

    def said(step: int, found: Evaluation) -> None:
        last = found.points[-1]
        errors.print(f"step {step}: {found.metric} {last.mean:.2f} at {last.time}, digital {found.digital:.2f}")

    with progress_bar("train") as advance:
        made = train(
            model,
            task,
            data,
            folder,
            target=chip,
            recipe=loaded,
            evaluate_on=evaluate_on,
            task_options=own,
            teacher=teacher,
            adapter_of=adapter_of,
            attention_bits=int(attention_bits) if attention_bits.isdigit() else attention_bits,
            epochs=epochs,
            steps=steps,
            learning_rate=learning_rate,
            batch_size=batch_size,
            accumulate=accumulate,
            limit=limit,
            evaluation_limit=evaluation_limit,
            evaluate_every=evaluate_every,
            times=list(parse_times(times)),
            repeats=repeats,
            save_every=save_every,
            resume=resume,
            overwrite=force,
            seed=seed,
            on_step=advance,
            on_evaluation=said,
        )
    if as_json:
        print_json(made.to_json())
        return
    kept = f", of which step {made.best_step} was kept" if made.best_step is not None else ""
    what = f"an adapter of {model}" if adapter_of else model
    output.print(
        f"trained {what} on {task} by {loaded.name}: {made.steps} steps on {made.device}{kept}; written to {folder}"
    )
    if made.evaluation is not None:
        figures = ", ".join(f"{point.mean:.2f} at {point.time}" for point in made.evaluation.points)
        output.print(f"{made.evaluation.metric}: digital {made.evaluation.digital:.2f}, on {repeats} chips {figures}")
    for note in made.notes:
        output.print(f"note: {note}")
