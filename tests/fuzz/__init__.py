"""Mutants of all that tilewright reads, each in a child process with limits: ``python -m tests.fuzz --help``."""
