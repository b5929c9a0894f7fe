"""How a model gets onto the hardware: frontends, passes, the plan, reports and the command line."""
