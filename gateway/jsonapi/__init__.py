"""JSON:API documents from and to gRPC messages."""
