"""The demo's content: real game engines with their assets, as wheels of one fixed platform, so that every machine delivers the
same bytes. Fetched once into a cache, checked against pinned hashes, unpacked. Called by sandbox.demo.
"""

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LOCK = Path(__file__).with_name("demo_content.lock")
FETCH_TIMEOUT_SECONDS = 180
PLATFORM_TAG = "manylinux2014_x86_64"
PYTHON_TAG = "3.11"


class ContentMissing(Exception):
    """The content cannot be had; the text says why in one line."""


@dataclass(frozen=True, slots=True)
class Game:
    """A product of the demo, one version of it on the disk."""

    slug: str
    title_ru: str
    title_en: str
    version: str
    folder: Path


def fetch(cache: Path) -> Sequence[Game]:
    """Returns the unpacked games, from the cache where they are there.

    Raises:
        ContentMissing: they can neither be found nor fetched.
    """
    games = (
        Game("panda3d", "Панда 3D", "Panda3D", "1.10.15", cache / "panda3d-1.10.15"),
        Game("ursina", "Урсина", "Ursina", "7.0.0", cache / "ursina-7.0.0"),
    )
    if not all(game.folder.is_dir() for game in games):
        cache.mkdir(parents=True, exist_ok=True)
        wheels = cache / "wheels"
        _download(wheels)
        for game in games:
            wheel = next(wheels.glob(f"{game.slug}-{game.version}-*.whl"))
            _unpack(wheel, game.folder)
    return games


def default_cache() -> Path:
    """$SAMOVAR_CACHE, or .cache in the working folder."""
    return Path(os.environ.get("SAMOVAR_CACHE", ".cache")).absolute() / "content"


def _download(into: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += [
        "--only-binary=:all:",
        f"--platform={PLATFORM_TAG}",
        f"--python-version={PYTHON_TAG}",
        "--implementation=cp",
    ]
    command += ["--require-hashes", f"--requirement={LOCK}", f"--dest={into}"]
    try:
        result = subprocess.run(  # noqa: S603  pip of this environment, arguments of our own
            command, capture_output=True, text=True, check=False, timeout=FETCH_TIMEOUT_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise ContentMissing(f"the package registry did not answer within {FETCH_TIMEOUT_SECONDS} s") from error
    if result.returncode != 0:
        why = (result.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
        raise ContentMissing(f"the content cannot be fetched from the package registry: {why}")


def _unpack(wheel: Path, folder: Path) -> None:
    draft = folder.with_name(folder.name + ".draft")
    shutil.rmtree(draft, ignore_errors=True)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(draft)
        for member in archive.infolist():
            if (member.external_attr >> 16) & 0o100:
                (draft / member.filename).chmod(0o755)
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)
