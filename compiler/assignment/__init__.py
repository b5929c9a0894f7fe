"""Assignment of layers to targets: the least loss under budgets, or the least cost under a loss."""
