"""Write docs/command_line.md from the program's own help."""

from __future__ import annotations

from pathlib import Path

import typer
from typer.cli import get_docs_for_click
from typer.main import get_command

from tilewright.compiler.cli.app import app

PATH = Path(__file__).with_name("command_line.md")
HEAD = """# The command line

Generated from the code by `make command-line`; a test compares them. Results go to standard output, all else to
standard error. Wrong input ends in one sentence and exit code 2, as do a full disk and what the machine does not
permit. An interrupt, SIGTERM or SIGHUP end in code 130, and nothing half-written is left; what was measured is kept,
and the next run goes on from there. Letters that the output's encoding lacks are escaped as JSON escapes them. Every
command takes `--json`, and is [a function in Python](python.md) with the same options and defaults.

`tilewright --install-completion` teaches bash, zsh, fish or PowerShell to complete commands, options, names of the
library and layers of a plan; `--show-completion` prints what it would install. Completion, `--help` and `targets` load
no torch, so they answer at once.
"""


def page() -> str:
    """The page as Markdown."""
    command = get_command(app)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command, info_name="tilewright"), name="tilewright")
    return HEAD + "\n" + text.partition("\n")[2].strip() + "\n"


if __name__ == "__main__":
    PATH.write_text(page(), encoding="utf-8")
    print(f"wrote {PATH}")
