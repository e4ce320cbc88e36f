"""The gateway: REST (JSON:API) and WebSocket for clients in front of gRPC, from the code generated from the proto."""
