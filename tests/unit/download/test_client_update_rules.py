"""Which release of the launcher an installation should have: stages, halts, the lowest version, the way back."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from download_svc.client_updates.domain import (
    Arch,
    Channel,
    ClientRelease,
    ClientVersion,
    Line,
    is_in_cohort,
    offer,
)
from download_svc.versions.manifests import Platform

LINE = Line(Platform.LINUX, Arch.X86_64, Channel.STABLE)
INSTALLED = ClientVersion("1.0.0")
permilles = st.integers(0, 1000)


def release(version: str, permille: int = 1000, *, release_id: UUID | None = None, **others: str) -> ClientRelease:
    return ClientRelease(
        release_id or uuid4(),
        LINE,
        ClientVersion(version),
        bytes(32),
        1,
        datetime(2026, 1, 1, tzinfo=UTC),
        permille,
        **{name: ClientVersion(value) for name, value in others.items()},
    )


def version_for(releases: list[ClientRelease], who: UUID | None = None, installed: str = "1.0.0", **how: bool):
    found = offer(releases, ClientVersion(installed), who, is_manual=how.get("is_manual", False))
    return found and (found.release.version.text, found.is_available)


@given(st.uuids(), st.uuids(), permilles, permilles)
def test_raising_a_stage_keeps_who_has_it(who: UUID, release_id: UUID, one: int, other: int):
    lower, higher = sorted((one, other))
    if is_in_cohort(release("2.0", lower, release_id=release_id), who):
        assert is_in_cohort(release("2.0", higher, release_id=release_id), who)


@given(st.uuids(), st.uuids())
def test_nobody_has_0_and_everybody_has_1000(who: UUID, release_id: UUID):
    assert not is_in_cohort(release("2.0", 0, release_id=release_id), who)
    assert is_in_cohort(release("2.0", 1000, release_id=release_id), who)


def test_a_stage_reaches_about_its_share_and_each_release_reaches_others_first():
    first, second = release("2.0", 100), release("3.0", 100)
    everyone = [uuid4() for _ in range(20_000)]
    early = {who for who in everyone if is_in_cohort(first, who)}
    assert 1_700 < len(early) < 2_300
    both = sum(is_in_cohort(second, who) for who in early)
    assert both < len(early) / 4


@given(st.uuids(), permilles)
def test_outside_the_cohort_one_gets_the_release_before(who: UUID, permille: int):
    newest = release("3.0", permille)
    expected = "3.0" if is_in_cohort(newest, who) else "2.0"
    assert version_for([release("2.0"), newest], who) == (expected, True)


def test_a_manual_check_skips_the_stages_and_not_the_halt():
    releases = [release("2.0"), release("3.0", 1), release("4.0", 0)]
    assert version_for(releases, None, is_manual=True) == ("3.0", True)
    assert version_for(releases, None) == ("2.0", True)


def test_a_halt_offers_it_to_nobody_and_takes_it_from_nobody():
    releases = [release("2.0"), release("3.0", 0)]
    assert version_for(releases, uuid4()) == ("2.0", True)
    assert version_for(releases, uuid4(), "3.0") == ("2.0", False)
    assert version_for([release("3.0", 0)], uuid4()) is None


def test_one_only_goes_down_to_a_release_that_is_marked_and_only_from_what_was_gone_back_from():
    marked = release("2.0", rollback_from="3.0")
    assert version_for([marked, release("3.0", 0)], uuid4(), "3.0") == ("2.0", True)
    assert version_for([marked, release("3.0", 0), release("4.0", 0)], uuid4(), "4.0") == ("2.0", False)
    assert version_for([marked, release("3.0", 500)], uuid4(), "3.0")[1] is False, "it is offered again"
    assert version_for([release("2.0")], uuid4(), "3.0") == ("2.0", False)


@given(st.uuids(), st.integers(1, 1000))
def test_the_lowest_served_version_forces_past_the_stage(who: UUID, permille: int):
    releases = [release("1.5"), release("3.0", permille, minimum_version="2.0")]
    forced = offer(releases, INSTALLED, who, is_manual=False)
    assert forced is not None
    assert (forced.release.version.text, forced.is_mandatory) == ("3.0", True)
    free = offer(releases, ClientVersion("2.0"), who, is_manual=False)
    assert free is not None
    assert not free.is_mandatory


@given(st.lists(st.integers(0, 99), min_size=1, max_size=4), st.lists(st.integers(0, 99), min_size=1, max_size=4))
def test_versions_compare_as_numbers_and_zeros_at_the_end_say_nothing(one: list[int], other: list[int]):
    width = max(len(one), len(other))
    first, second = ClientVersion(".".join(map(str, one))), ClientVersion(".".join(map(str, other)))
    padded = [numbers + [0] * (width - len(numbers)) for numbers in (one, other)]
    assert (first < second) == (padded[0] < padded[1])
    assert (first == second) == (padded[0] == padded[1])
