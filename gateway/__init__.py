"""The gateway: REST (JSON:API) and WebSocket for clients in front of gRPC, from what the generator made of the proto."""
