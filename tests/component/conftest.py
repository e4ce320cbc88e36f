"""What component tests of several rooms share."""

import pytest

QUICK_SECONDS = 0.05


@pytest.fixture
def quick_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys are fetched, and credentials looked at, many times in the second."""
    for name in ("KEYS_REFRESH_SECONDS", "KEYS_RETRY_SECONDS", "RECHECK_SECONDS"):
        monkeypatch.setattr(f"chassis.auth.tokens.{name}", QUICK_SECONDS)
