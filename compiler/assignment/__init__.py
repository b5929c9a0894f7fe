"""Which layer runs on which target: the least loss under budgets, or the least cost under a loss."""
