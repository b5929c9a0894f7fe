"""What happens on the hardware: plans, programmed chips, drift and noise. Needs no compiler and no transformers."""
