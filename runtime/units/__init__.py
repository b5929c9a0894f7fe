"""Digital units: full precision, number formats, layers and products of activations on INT-n units."""
