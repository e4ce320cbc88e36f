"""What the Library Service does not wait long for, it waits for here: a machine that has other things to do would make each of
these tests one without Catalog, or without what is remembered of access.
"""

from collections.abc import Iterator

import pytest

PATIENT_SECONDS = 20.0


@pytest.fixture(autouse=True, scope="module")
def patient() -> Iterator[None]:
    """For a module, as some of the services here; a test that is about the waiting sets it back."""
    with pytest.MonkeyPatch.context() as patch:
        for limit in (
            "library_svc.catalog.application.FILL_DEADLINE_SECONDS",
            "library_svc.achievements.application.CATALOG_DEADLINE_SECONDS",
            "library_svc.access.redis.ANSWER_SECONDS",
        ):
            patch.setattr(limit, PATIENT_SECONDS)
        yield
