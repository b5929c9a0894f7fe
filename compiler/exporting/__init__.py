"""Export of plans to other tools, as a cross-check."""
