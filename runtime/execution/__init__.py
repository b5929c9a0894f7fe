"""Running a plan: modules from records, sessions, inputs, batches, sizes."""
