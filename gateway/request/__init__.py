"""The facts known of a request before anything else is done with it."""
