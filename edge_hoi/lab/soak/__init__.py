"""Watch cameras that have the faults of real ones, and report what the program made of it."""
