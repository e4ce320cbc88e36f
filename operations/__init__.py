"""The operator's commands beside the services: `samovar events`, `samovar objects`. Knows the wire and the backends, no service."""
