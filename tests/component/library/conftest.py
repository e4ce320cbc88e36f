"""What the Library Service does not wait long for, it waits for here: a machine that has other things to do would make each of
these tests one without Catalog, or without what is remembered of access.
"""

import pytest

PATIENT_SECONDS = 20.0


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests that are about the waiting set it back."""
    for limit in (
        "library_svc.application.catalog.FILL_DEADLINE_SECONDS",
        "library_svc.application.achievements.CATALOG_DEADLINE_SECONDS",
        "library_svc.infrastructure.redis_access.ANSWER_SECONDS",
    ):
        monkeypatch.setattr(limit, PATIENT_SECONDS)
