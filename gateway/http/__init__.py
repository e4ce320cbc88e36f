"""HTTP of the gateway: the server, addresses, tokens, conditional requests, documents."""
