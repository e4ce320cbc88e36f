"""The demo's content: real game engines with their assets, as wheels of one fixed platform, so that every machine delivers the
same bytes. Fetched once into a cache, checked against pinned hashes, unpacked. Called by sandbox.demo.__main__ and its parts.
"""

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LOCKS = tuple(Path(__file__).with_name(name) for name in ("content_before.lock", "content.lock"))
"""Two, because pip takes one version of a package at a time."""
FETCH_TIMEOUT_SECONDS = 180
PLATFORM_TAG = "manylinux2014_x86_64"
PYTHON_TAG = "3.11"


class ContentMissing(Exception):
    """The content cannot be had; the text says why in one line."""


@dataclass(frozen=True, slots=True)
class Release:
    """One version of a game on the disk."""

    version: str
    folder: Path


@dataclass(frozen=True, slots=True)
class Game:
    """A product of the demo: the version that is installed first, and the one that it is updated to."""

    slug: str
    title_ru: str
    title_en: str
    first: Release
    next: Release


def fetch(cache: Path) -> Sequence[Game]:
    """Returns the unpacked games, from the cache where they are there.

    Raises:
        ContentMissing: they can neither be found nor fetched.
    """

    def game(slug: str, title_ru: str, title_en: str, first: str, following: str) -> Game:
        releases = (Release(version, cache / f"{slug}-{version}") for version in (first, following))
        return Game(slug, title_ru, title_en, *releases)

    games = (
        game("panda3d", "Панда 3D", "Panda3D", "1.10.14", "1.10.15"),
        game("ursina", "Урсина", "Ursina", "6.1.2", "7.0.0"),
    )
    missing = [(one, release) for one in games for release in (one.first, one.next) if not release.folder.is_dir()]
    if missing:
        cache.mkdir(parents=True, exist_ok=True)
        wheels = cache / "wheels"
        for lock in LOCKS:
            download(lock, wheels)
        for one, release in missing:
            unpack(next(wheels.glob(f"{one.slug}-{release.version}-*.whl")), release.folder)
    return games


def default_cache() -> Path:
    """$SAMOVAR_CACHE, or .cache in the working folder."""
    return Path(os.environ.get("SAMOVAR_CACHE", ".cache")).absolute() / "content"


def download(lock: Path, into: Path) -> None:
    """Fetches the wheels of a lock. Raises: ContentMissing."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += [
        "--only-binary=:all:",
        f"--platform={PLATFORM_TAG}",
        f"--python-version={PYTHON_TAG}",
        "--implementation=cp",
    ]
    command += ["--require-hashes", f"--requirement={lock}", f"--dest={into}"]
    try:
        result = subprocess.run(  # noqa: S603  pip of this environment, arguments of our own
            command, capture_output=True, text=True, check=False, timeout=FETCH_TIMEOUT_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise ContentMissing(f"the package registry did not answer within {FETCH_TIMEOUT_SECONDS} s") from error
    if result.returncode != 0:
        why = (result.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
        raise ContentMissing(f"the content cannot be fetched from the package registry: {why}")


def unpack(wheel: Path, folder: Path) -> None:
    """Puts a wheel's tree in place, whole or not at all."""
    draft = folder.with_name(folder.name + ".draft")
    shutil.rmtree(draft, ignore_errors=True)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(draft)
        for member in archive.infolist():
            if (member.external_attr >> 16) & 0o100:
                (draft / member.filename).chmod(0o755)
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)
