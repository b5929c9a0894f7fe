"""Passes over the graph: from ATen operators to layers on tiles and products on units."""
