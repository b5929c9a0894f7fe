"""Runtime: plans, programmed chips, drift and noise. Needs no compiler and no transformers."""
