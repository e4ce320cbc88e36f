"""Channels to other services: unary calls over an HTTP/2 client of our own, streams over grpcio."""
