"""Object storage: the port, a directory, S3."""
