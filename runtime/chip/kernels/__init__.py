"""Compiled kernels of the hot loops, which make the bits that the law in torch makes, several times faster."""
