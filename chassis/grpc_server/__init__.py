"""gRPC servers: the steps around every call, health, draining."""
