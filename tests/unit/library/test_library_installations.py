"""The installation status follows Download's events, in whatever order and however often they come."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import reduce
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from library_svc.entitlements.application import grant
from library_svc.entitlements.domain import Source, SourceKind
from library_svc.ids import DeviceId, DownloadSessionId, EventId, ProductId, UserId, VersionId
from library_svc.installations.application import follow
from library_svc.installations.domain import (
    Download,
    DownloadStatus,
    Installation,
    InstallationState,
    News,
    Verification,
)
from library_svc.items.domain import InstallationStatus
from tests.fakes.library.access import MemoryAccessCache
from tests.fakes.library.store import MemoryLibrary, MemoryProducts

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
V1, V2 = VersionId(UUID(int=1)), VersionId(UUID(int=2))
DESKTOP, LAPTOP = DeviceId(UUID(int=11)), DeviceId(UUID(int=12))


def session(number: int, status: str, at: int, version: VersionId = V1) -> Download:
    return Download(DownloadSessionId(UUID(int=number)), version, DownloadStatus(status), NOON + timedelta(minutes=at))


def installed(device: DeviceId, at: int, version: VersionId = V1) -> Installation:
    return Installation(device, version, is_installed=True, changed_at=NOON + timedelta(minutes=at))


def uninstalled(device: DeviceId, at: int, version: VersionId = V1) -> Installation:
    return Installation(device, version, is_installed=False, changed_at=NOON + timedelta(minutes=at))


def verified(device: DeviceId, at: int, *, damaged: bool, version: VersionId = V1) -> Verification:
    return Verification(device, version, is_damaged=damaged, changed_at=NOON + timedelta(minutes=at))


def state_after(news: Sequence[News]) -> InstallationState:
    return reduce(InstallationState.after, news, InstallationState())


ERROR_THEN_SUCCESS = [
    session(1, "error", 1),
    session(2, "completed", 2),
    installed(DESKTOP, 2),
    uninstalled(DESKTOP, 3),
]
ONE_OF_TWO_REMOVED = [installed(DESKTOP, 0), installed(LAPTOP, 1, V2), uninstalled(LAPTOP, 2, V2)]
LAST_REMOVED = [session(1, "completed", 0), installed(DESKTOP, 0), uninstalled(DESKTOP, 1)]
REPAIRED = [
    installed(DESKTOP, 0),
    verified(DESKTOP, 1, damaged=True),
    session(1, "completed", 2),
    installed(DESKTOP, 2),
    verified(DESKTOP, 2, damaged=False),
]
FAILED_UPDATE_THEN_REMOVED = [installed(DESKTOP, 0), session(1, "error", 1, V2), uninstalled(DESKTOP, 2)]


@pytest.mark.parametrize(
    ("promise", "news", "status", "version"),
    [
        ("nothing heard", [], "not_installed", None),
        ("a live session installs", [session(1, "queued", 0)], "installing", None),
        ("a paused session is live", [session(1, "paused", 1)], "installing", None),
        ("verifying is live", [session(1, "verifying", 1)], "installing", None),
        ("a live session updates", [installed(DESKTOP, 0), session(1, "queued", 1, V2)], "updating", V1),
        ("installed", [session(1, "completed", 1), installed(DESKTOP, 1)], "installed", V1),
        ("completed counts before the device is told of", [session(1, "completed", 1)], "installed", None),
        ("the last installed is shown", [installed(DESKTOP, 1, V2), installed(LAPTOP, 0)], "installed", V2),
        ("an uninstall of one of two", ONE_OF_TWO_REMOVED, "installed", V1),
        ("an uninstall of the last", LAST_REMOVED, "not_installed", None),
        ("cancelled with nothing before", [session(1, "cancelled", 1)], "not_installed", None),
        ("cancelled over an installed one", [installed(DESKTOP, 0), session(1, "cancelled", 1)], "installed", V1),
        ("cancelled after a failed one", [session(1, "error", 1), session(2, "cancelled", 2)], "error", None),
        ("an error", [session(1, "error", 1)], "error", None),
        ("an error, the old one playable", [installed(DESKTOP, 0), session(1, "error", 1, V2)], "installed", V1),
        ("an error tried again", [session(1, "error", 1), session(1, "queued", 2)], "installing", None),
        ("an error forgotten by a success", ERROR_THEN_SUCCESS, "not_installed", None),
        ("an error forgotten by an uninstall", FAILED_UPDATE_THEN_REMOVED, "not_installed", None),
        ("damaged files", [installed(DESKTOP, 0), verified(DESKTOP, 1, damaged=True)], "repair_needed", V1),
        ("right files", [installed(DESKTOP, 0), verified(DESKTOP, 1, damaged=False)], "installed", V1),
        ("damage that is repaired", REPAIRED, "installed", V1),
        ("damage while it is repaired", [*REPAIRED[:2], session(1, "queued", 2)], "updating", V1),
        ("a repair that failed", [*REPAIRED[:2], session(1, "error", 2)], "repair_needed", V1),
        ("damage that an update went over", [*REPAIRED[:2], installed(DESKTOP, 2, V2)], "installed", V2),
        ("damage on one of two", [installed(LAPTOP, 2), *REPAIRED[:2]], "repair_needed", V1),
        ("damage of another version", [installed(DESKTOP, 0, V2), REPAIRED[1]], "installed", V2),
        ("damage of what is gone", [*REPAIRED[:2], uninstalled(DESKTOP, 2)], "not_installed", None),
        ("damage of what nobody knows", [verified(DESKTOP, 1, damaged=True)], "not_installed", None),
        ("one of two lives", [session(1, "completed", 1), session(2, "downloading", 0)], "installing", None),
    ],
)
def test_the_status_follows(promise: str, news: Sequence[News], status: str, version: VersionId | None):
    state = state_after(news)

    assert state.status is InstallationStatus(status), promise
    assert (state.installed.version_id if state.installed else None) == version, promise


def test_news_that_is_none_leaves_the_very_state():
    state = state_after([session(1, "downloading", 5), installed(DESKTOP, 5)])

    assert state.after(session(1, "queued", 1)) is state
    assert state.after(session(1, "downloading", 5)) is state
    assert state.after(uninstalled(DESKTOP, 4)) is state


moments = st.integers(0, 5)
news_lists = st.lists(
    st.builds(session, st.integers(1, 3), st.sampled_from([str(status) for status in DownloadStatus]), moments)
    | st.builds(installed, st.sampled_from([DESKTOP, LAPTOP]), moments)
    | st.builds(uninstalled, st.sampled_from([DESKTOP, LAPTOP]), moments)
    | st.builds(
        lambda device, at, damaged: verified(device, at, damaged=damaged),
        st.sampled_from([DESKTOP, LAPTOP]),
        moments,
        st.booleans(),
    ),
    max_size=8,
)


@given(news_lists.flatmap(lambda news: st.tuples(st.just(news), st.permutations(news * 2))))
def test_events_may_come_twice_and_in_any_order(orders: tuple[Sequence[News], Sequence[News]]):
    in_order, shuffled_twice = orders

    assert state_after(shuffled_twice) == state_after(in_order)


class TestFollowing:
    USER, GAME = UserId(uuid4()), ProductId(uuid4())

    async def _hear(self, library: MemoryLibrary, news: News, event_id: str) -> None:
        await follow(
            library.begin, event_id=EventId("test", event_id), user_id=self.USER, product_id=self.GAME, news=news
        )

    async def _statuses(self, library: MemoryLibrary) -> list[InstallationStatus]:
        return [item.installation_status for item in await library.owned_items(self.USER, [])]

    async def _buy(self, library: MemoryLibrary) -> None:
        source = Source(SourceKind.ORDER, "1")
        await grant(
            library.begin,
            MemoryAccessCache(),
            event_id=EventId("test", "bought"),
            user_id=self.USER,
            product_ids=[self.GAME],
            source=source,
            at=NOON,
        )

    async def test_the_item_shows_it(self):
        library = MemoryLibrary(MemoryProducts())
        await self._buy(library)

        await self._hear(library, session(1, "downloading", 1), "1")
        assert await self._statuses(library) == [InstallationStatus.INSTALLING]
        await self._hear(library, installed(DESKTOP, 3), "3")
        await self._hear(library, session(1, "completed", 2), "2")
        assert await self._statuses(library) == [InstallationStatus.INSTALLED]

    async def test_what_came_before_the_item_is_remembered(self):
        library = MemoryLibrary(MemoryProducts())

        await self._hear(library, session(1, "downloading", 1), "1")
        await self._buy(library)

        assert await self._statuses(library) == [InstallationStatus.INSTALLING]
