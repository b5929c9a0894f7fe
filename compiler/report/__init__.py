"""Reports, made from a plan alone: one object, several formats."""
