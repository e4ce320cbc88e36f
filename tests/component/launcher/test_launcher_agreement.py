"""A server, or somebody in between, that answers with something else than was asked for: refused by name, nothing changed."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from launcher_platform import (
    FakePlatform,
    Game,
    assert_installed,
    environment,
    finished,
    make_account,
    make_game,
    run_platform,
    spawn,
)

from launcher.failures import ExitCode, LauncherError
from launcher.install.installation import InstallResult, install
from launcher.install.maintenance import update
from launcher.install.pipeline import Patience
from launcher.install.sessions import InstallRequest

KEY = Ed25519PrivateKey.generate()
QUICK = Patience(max_tries=2, first_delay_seconds=0.01)


async def bring(server: FakePlatform, directory: Path, language: str = "en", **request: object) -> InstallResult:
    account = replace(make_account(server, KEY), language=language)
    return await install(account, InstallRequest(server.game.product_id, directory, **request), patience=QUICK)


def versions() -> tuple[Game, Game]:
    old = make_game(KEY, {"game": b"with a hole"})
    return old, make_game(KEY, {"game": b"mended"}, product_id=old.product_id)


@pytest.mark.parametrize(
    ("lies", "code"),
    [
        ({"product_id": str(uuid4())}, "SESSION_OF_OTHER_PRODUCT"),
        ({"version_id": str(uuid4())}, "SESSION_OF_OTHER_VERSION"),
        ({"platform": "windows"}, "SESSION_OF_OTHER_PLATFORM"),
    ],
)
@pytest.mark.parametrize("is_at_first", [True, False])
async def test_a_session_that_was_not_asked_for_is_refused_before_anything_is_written(
    tmp_path: Path, lies: Mapping[str, str], code: str, *, is_at_first: bool
) -> None:
    game, _ = versions()
    async with run_platform(game, slots=1 if is_at_first else 0) as platform:
        platform.lies = lies if is_at_first else {}

        def lie_later(_request: object) -> None:
            if platform.starts:
                platform.lies = lies

        platform.refuse = lie_later
        with pytest.raises(LauncherError) as refused:
            await bring(platform, tmp_path / "game", version_id=game.version_id, platform="linux")
        assert (refused.value.code, refused.value.exit_code) == (code, ExitCode.CORRUPT)
        assert str(next(iter(lies.values()))) in refused.value.message
        assert not platform.asked
    assert not (tmp_path / "game" / "game").exists()


async def test_what_is_refused_is_said_in_russian_too(tmp_path: Path) -> None:
    game, _ = versions()
    async with run_platform(game) as platform:
        platform.lies = {"product_id": str(uuid4())}
        with pytest.raises(LauncherError, match="загрузкой другого продукта"):
            await bring(platform, tmp_path, "ru")


@pytest.mark.parametrize("by", ["install", "update"])
async def test_an_older_version_than_the_one_in_place_has_to_be_asked_for(tmp_path: Path, by: str) -> None:
    old, new = versions()
    async with run_platform(new) as platform:
        await bring(platform, tmp_path)
        platform.game = old
        account = make_account(platform, KEY)
        work = bring(platform, tmp_path) if by == "install" else update(account, tmp_path, patience=QUICK)
        with pytest.raises(LauncherError) as refused:
            await work
        assert (refused.value.code, refused.value.exit_code) == ("VERSION_OLDER_THAN_INSTALLED", ExitCode.CORRUPT)
        assert {str(old.version_id), str(new.version_id)} <= set(refused.value.message.replace(",", " ").split())
        assert_installed(tmp_path, new)
        assert platform.session.status == "cancelled", "it holds no slot"
        await bring(platform, tmp_path, version_id=old.version_id)
        assert_installed(tmp_path, old)


async def test_going_back_is_asking_for_an_older_version(tmp_path: Path) -> None:
    old, new = versions()
    async with run_platform(new) as platform:
        await bring(platform, tmp_path)
        platform.game = old
        await update(make_account(platform, KEY), tmp_path, is_rollback=True, patience=QUICK)
        assert_installed(tmp_path, old)


async def test_a_manifest_for_another_platform_is_refused_though_the_session_says_the_right_one(tmp_path: Path) -> None:
    def for_windows(manifest: object) -> None:
        manifest.platform = 1  # type: ignore[attr-defined]

    game = make_game(KEY, {"game": b"x"}, change=for_windows)
    async with run_platform(game) as platform:
        with pytest.raises(LauncherError, match="for another platform") as refused:
            await bring(platform, tmp_path, platform="linux")
        assert refused.value.code == "MANIFEST_INVALID"
        platform.lies = {"platform": None}
        with pytest.raises(LauncherError) as refused:
            await bring(platform, tmp_path, platform="linux")
        assert refused.value.code == "SESSION_OF_OTHER_PLATFORM"


async def test_the_token_goes_to_no_address_of_the_current_folder_and_the_address_is_shown_first(
    tmp_path: Path,
) -> None:
    game, _ = versions()
    async with run_platform(game) as honest, run_platform(game) as planted:
        env = environment(honest, KEY, tmp_path)
        token = env.pop("SAMOVAR_TOKEN")
        del env["SAMOVAR_HOME"], env["MANIFEST_PUBLIC_KEYS"]
        asked: list[str] = []
        planted.refuse = lambda request: asked.append(str(request.rel_url))
        (tmp_path / ".samovar").mkdir()
        facts = {"gateway_url": planted.url, "manifest_public_keys": "evil=AAAA"}
        (tmp_path / ".samovar" / "platform.json").write_text(json.dumps(facts))
        process = await spawn(env, "login")
        assert process.stderr is not None
        first = await process.stderr.readline()
        assert first.decode().strip() == f"samovar: signing in at {honest.url}", "before a token is asked for"
        assert (await finished(process, stdin=f"{token}\n")).code == 0
        del env["SAMOVAR_GATEWAY"]
        (tmp_path / "config" / "profile.json").unlink()
        nowhere = await finished(await spawn(env, "login"), stdin=f"{token}\n")
        assert nowhere.stderr.startswith("samovar: signing in at http://127.0.0.1:8080\n")
        assert asked == []
