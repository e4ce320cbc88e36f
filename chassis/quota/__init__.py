"""What one caller may use: rates that all instances count together."""
