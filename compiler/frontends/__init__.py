"""Ways from a network to a graph over ATen."""
