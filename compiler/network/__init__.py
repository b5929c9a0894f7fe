"""The graph of one network on its way to a plan, and what must stay true of it."""
