"""Server streams as WebSocket, SSE and lines of JSON."""
