"""The main job on real content."""
