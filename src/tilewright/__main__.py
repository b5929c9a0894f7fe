"""The program, as ``python -m tilewright``."""

from tilewright.compiler.cli import main

main()
