"""How a program starts, runs and ends, and what its settings open."""
