"""What the services and the gateway stand on. No business noun lives here."""
