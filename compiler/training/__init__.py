"""Hardware-aware training: a network's own layers, with the target's arithmetic in them and gradients through it."""
