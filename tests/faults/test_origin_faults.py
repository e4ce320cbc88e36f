"""A CDN that misbehaves: no wrong byte is ever accepted, bad chunks are fetched again, and spent tries end in words."""

import hashlib
import random
import uuid
from pathlib import Path

import pytest

from launcher.failures import LauncherError
from launcher.install.installation import InstallResult, install
from launcher.install.pipeline import Patience
from launcher.install.sessions import InstallRequest
from launcher.settings import Account
from tests.e2e.clients import ITEMS, Api, Shop, until
from tests.e2e.running import Platform
from tests.e2e.trees import digests
from tests.faults.conftest import Game, Publisher, User
from tests.faults.installs import answered, session_of
from tests.faults.origin import QUICK_FAULTS, Asked, Fault, Origins
from tests.faults.truth import assert_installed_once

QUICK = Patience(max_tries=8, first_delay_seconds=0.002)
MAX_FAULTS_OF_A_CHUNK = 4
"""Fewer than there are tries."""
SLOW_SHARE = 0.01
CORRUPTING = frozenset({Fault.FLIPPED_BIT, Fault.OTHER_BYTES, Fault.SHORTENED})
"""What the launcher sees as wrong content; the others it sees as a CDN that does not deliver."""


def many_small_files(folder: Path, files: int, seed: int) -> Path:
    source = random.Random(seed)
    for number in range(files):
        path = folder / f"{number % 10}" / f"{number}.dat"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.randbytes(source.randrange(1_000, 9_000)))
    return folder


class Device:
    """A launcher in this process, on a device of its own."""

    def __init__(self, platform: Platform, user: User, game: Game, folder: Path) -> None:
        url, keys = platform.ready["gateway_url"], platform.private["manifest_public_keys"]
        self._account = Account(url, user.api.token or "", uuid.uuid4(), keys)
        self._request = InstallRequest(uuid.UUID(game.product_id), folder)

    async def install(self) -> InstallResult:
        return await install(self._account, self._request, patience=QUICK)


class Storm:
    """Every chunk is delivered wrong some times before it is delivered right."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def __call__(self, asked: Asked) -> Fault | None:
        chance = random.Random(f"{self._seed} {asked.chunk}")
        faults = chance.choices(QUICK_FAULTS, k=chance.randint(1, MAX_FAULTS_OF_A_CHUNK))
        if chance.random() < SLOW_SHARE:
            faults = [chance.choice([Fault.STALLED, Fault.SLOW])]
        return faults[asked.nth] if asked.nth < len(faults) else None


async def weather(platform: Platform, origins: Origins, user: User, game: Game, folder: Path, seed: int) -> int:
    """Installs in a storm and answers how many faults there were."""
    origins.reset(Storm(seed), seed=seed)
    result = await Device(platform, user, game, folder).install()
    assert result.status == "completed"
    assert digests(folder) == digests(game.source)
    assert set(origins.done.sent.values()) == {1}, "right chunks were fetched again"
    return origins.done.faults.total()


async def test_hundreds_of_faults_of_the_origin_leave_every_byte_right(
    platform: Platform, origins: Origins, publisher: Publisher, shop: Shop, user: User, seed: int, tmp_path: Path
) -> None:
    game = await publisher.publish(many_small_files(tmp_path / "source", 160, seed))
    await game.given_to(user, shop)
    faults = await weather(platform, origins, user, game, tmp_path / "disk", seed)
    print(f"{faults} faults: {dict(origins.done.faults)}")
    assert faults >= 200
    assert set(QUICK_FAULTS) <= set(origins.done.faults)
    await settled(user.api, game, "installed")
    await assert_installed_once(platform, user.id, game.product_id)


@pytest.mark.soak
@pytest.mark.timeout(1500)
async def test_ten_thousand_faults_of_the_origin_leave_every_byte_right(
    platform: Platform, origins: Origins, publisher: Publisher, shop: Shop, user: User, seed: int, tmp_path: Path
) -> None:
    game = await publisher.publish(many_small_files(tmp_path / "source", 1050, seed))
    await game.given_to(user, shop)
    faults = rounds = 0
    while faults < 10_000:
        faults += await weather(platform, origins, user, game, tmp_path / f"disk-{rounds}", seed + rounds)
        rounds += 1
    print(f"{faults} faults in {rounds} installations")


async def test_spent_tries_end_in_error_with_the_files_name_and_a_retry_goes_on(
    platform: Platform, origins: Origins, publisher: Publisher, shop: Shop, user: User, tmp_path: Path
) -> None:
    game = await publisher.publish(many_small_files(tmp_path / "source", 12, 1))
    await game.given_to(user, shop)
    victim = game.source / "3" / "3.dat"
    chunk = hashlib.sha256(victim.read_bytes()).hexdigest()
    device = Device(platform, user, game, tmp_path / "disk")
    session_ids = set()
    delivered: set[str] = set()
    for fault in QUICK_FAULTS:
        origins.reset(lambda asked, fault=fault: fault if asked.chunk == chunk else None)  # type: ignore[misc]
        with pytest.raises(LauncherError) as failure:
            await device.install()
        code = "FILE_HASH_MISMATCH" if fault in CORRUPTING else "CDN_ERROR"
        assert (failure.value.code, failure.value.file) == (code, "3/3.dat"), fault
        session = await session_of(user.api, game.product_id)
        assert session["attributes"]["status"] == "error"
        assert session["attributes"]["error"]["code"] == code
        assert "3/3.dat" in session["attributes"]["error"]["message"]
        assert not (tmp_path / "disk" / "3" / "3.dat").exists()
        assert not delivered & set(origins.done.sent), "a retry fetched again what was there"
        delivered |= set(origins.done.sent)
        session_ids.add(session["id"])
    origins.reset()
    result = await device.install()
    assert {result.session_id} == session_ids
    assert set(origins.done.sent) == {chunk}
    assert digests(tmp_path / "disk") == digests(game.source)
    await settled(user.api, game, "installed")


@pytest.mark.parametrize("fault", [Fault.STALLED, Fault.SLOW, Fault.RESET])
async def test_a_cdn_that_is_dead_or_trickles_is_left_for_the_other(
    fault: Fault,
    platform: Platform,
    origins: Origins,
    publisher: Publisher,
    shop: Shop,
    user: User,
    tmp_path: Path,
) -> None:
    game = await publisher.publish(many_small_files(tmp_path / "source", 24, 2))
    await game.given_to(user, shop)
    origins.reset(lambda asked: fault if asked.provider == "near" else None)
    result = await Device(platform, user, game, tmp_path / "disk").install()
    assert result.status == "completed"
    assert digests(tmp_path / "disk") == digests(game.source)
    assert origins.done.faults[fault] <= 24


async def settled(api: Api, game: Game, status: str) -> None:
    async def is_so() -> bool:
        items = await answered(api, f"{ITEMS}?limit=100")
        return [one["attributes"]["installation_status"] for one in items] == [status]

    await until(is_so, f"the library does not say {status}")
