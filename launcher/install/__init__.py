"""Installing, updating, repairing and removing a game."""
