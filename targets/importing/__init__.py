"""Import of hardware descriptions that other tools wrote."""
