"""Compiler: from a network to a plan for the hardware, with reports and the command line."""
