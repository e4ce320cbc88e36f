"""The Download Service: delivery of games, from published manifest to installed files."""
