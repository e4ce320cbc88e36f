"""The base of the services and the gateway: everything they share. No business noun lives here."""
