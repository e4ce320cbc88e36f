"""The limits on one caller: rates that all instances count together."""
