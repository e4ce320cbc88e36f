"""Events between services: the port, its adapters, the outbox, the inbox and consumers."""
