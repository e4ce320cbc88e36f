"""Start, run and stop of a program, and the backends that its settings open."""
