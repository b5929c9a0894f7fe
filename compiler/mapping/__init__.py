"""Mapping of layers onto targets and tiles."""
