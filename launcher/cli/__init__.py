"""The samovar command."""
