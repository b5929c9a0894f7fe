"""The physics of tiles: draws, programming, drift, converters, products. Knows targets, and no plan."""
