"""The limits on one caller: rates, idempotent answers."""
