"""Publishing a version of a game."""
