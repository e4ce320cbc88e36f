"""What one caller may use: rates, idempotent answers."""
