"""The platform's REST as the launcher uses it."""
