"""Sample inputs seen at layers and products, and what is fixed by them: scales, clips, ranges."""
