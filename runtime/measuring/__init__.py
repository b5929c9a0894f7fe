"""Measuring plans and targets: accuracy over time, errors of products, operations."""
