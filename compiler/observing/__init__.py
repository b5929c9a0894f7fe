"""Observing of sample inputs at layers and products, and choice of scales, clips and ranges by it."""
