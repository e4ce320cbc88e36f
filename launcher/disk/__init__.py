"""A game's folder: what is there, what is planned, what is written."""
