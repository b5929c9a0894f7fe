"""The command line: tilewright compile, report, run, evaluate, targets."""

from tilewright.compiler.cli.app import main

__all__ = ["main"]
