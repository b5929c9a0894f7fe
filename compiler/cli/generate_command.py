"""tilewright generate"""

from __future__ import annotations

import time as clock
from typing import Annotated, Any

import typer

from tilewright.compiler.cli import options
from tilewright.compiler.cli.console import output, print_json
from tilewright.compiler.engineering import counted


def generate_command(
    plan: options.PlanFolder,
    prompts: Annotated[list[str], typer.Argument(help="Texts to go on from.")],
    tokens: Annotated[int, typer.Option(help="Tokens that each text gets at most.")] = 50,
    until: Annotated[list[str] | None, typer.Option(help="Text at which one ends; may be repeated.")] = None,
    time: options.Time = "1s",
    seed: Annotated[int, typer.Option(help="Names the chip.")] = 0,
    repeat: Annotated[int, typer.Option(help="Names another chip of the seed.")] = 0,
    adapter: options.Adapter = None,
    ideal: Annotated[bool, typer.Option("--ideal", help="The digital reference in full precision.")] = False,
    drift_compensation: options.DriftCompensation = True,
    temperature: Annotated[
        float, typer.Option(help="Of the draws of tokens; 0 takes the likeliest token each time.")
    ] = 0.0,
    top_k: Annotated[int, typer.Option(help="Tokens that are drawn from: so many of the likeliest; 0 for all.")] = 0,
    beams: Annotated[
        int, typer.Option(help="Texts of each prompt that are followed, of which the likeliest stays.")
    ] = 1,
    as_json: options.AsJson = False,
) -> None:
    """Write texts that go on from prompts, or that a decoder writes for them, by a plan of a language model on a chip.

    A prompt's text does not depend on those beside it, unless tokens are drawn.
    """
    import torch

    from tilewright.runtime.execution.session import Session
    from tilewright.runtime.plan.plan import load

    loaded = load(plan)
    started = clock.perf_counter()
    session = Session(loaded, seed, repeat=repeat, adapter=adapter, ideal=ideal, drift_compensation=drift_compensation)
    how: dict[str, Any] = {"num_beams": beams}
    if temperature != 0:
        torch.manual_seed(seed)  # of the draws of tokens, which transformers makes
        how |= {"do_sample": True, "temperature": temperature, "top_k": top_k}
    found = session.advance_to(time).generate(prompts, max_new_tokens=tokens, until=until or (), **how)
    seconds = round(clock.perf_counter() - started, 3)
    if as_json:
        pairs = [{"prompt": prompt, "text": text} for prompt, text in zip(prompts, found, strict=True)]
        print_json({"texts": pairs, "seed": seed, "repeat": repeat, "seconds_after_programming": session.seconds,
                    "ideal": ideal, "seconds": seconds})  # fmt: skip
        return
    what = "digital reference" if ideal else f"chip {repeat} of seed {seed} at {time}"
    output.print(f"{what}, {counted(len(prompts), 'prompt')}, {seconds:.1f} s:")
    for prompt, text in zip(prompts, found, strict=True):
        output.print(f"{prompt}{text}", soft_wrap=True)
