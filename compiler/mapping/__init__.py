"""Layers onto targets and tiles."""
