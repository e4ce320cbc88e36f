"""Verifies a release: the signed metadata (The Update Framework) that say which bytes it has. Each failure has a code of its own
and leaves the installed version as it is. Blocks; used by launcher.self_update.updating.
"""

import json
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, cast

import urllib3
from tuf.api import exceptions as tuf
from tuf.api.metadata import TargetFile
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

from launcher.failures import ExitCode, LauncherError
from launcher.settings import proxy_for

MAX_TARGET_BYTES: Final = 1 << 30
METADATA_SECONDS: Final = 120.0
TARGET_SECONDS: Final = 6 * 3600.0
SILENCE_SECONDS: Final = 30.0
READ_BYTES: Final = 64 * 1024
CLOCK_TOLERANCE: Final = timedelta(hours=24)
"""By so much may a clock be set back: time zones that were wrong, a battery that was changed."""
_CLOCK: Final = "latest-time.json"

_CODES: Final[tuple[tuple[type[Exception], str, str], ...]] = (
    (tuf.ExpiredMetadataError, "CLIENT_METADATA_EXPIRED", "the release metadata have expired: the server is frozen"),
    (tuf.UnsignedMetadataError, "CLIENT_METADATA_UNSIGNED", "the release metadata are not signed by keys that count"),
    (tuf.BadVersionNumberError, "CLIENT_METADATA_ROLLED_BACK", "the release metadata are older than those seen before"),
    (tuf.LengthOrHashMismatchError, "CLIENT_METADATA_MIXED", "the release metadata do not belong together"),
    (tuf.DownloadLengthMismatchError, "CLIENT_DATA_ENDLESS", "the server sends more than was announced"),
    (tuf.SlowRetrievalError, "CLIENT_DATA_SLOW", "the server sends too slowly"),
    (tuf.RepositoryError, "CLIENT_METADATA_INVALID", "the release metadata cannot be read"),
)


@dataclass(frozen=True, slots=True)
class Target:
    """A release's bytes as the metadata describe them. `rollback_from`: versions up to this one may be downgraded to it."""

    file: TargetFile
    sha256: bytes
    size_bytes: int
    rollback_from: str | None


class CappedFetcher(FetcherInterface):
    """Reads URLs under a bandwidth cap, a time limit, and without redirects."""

    def __init__(self, *, limit_kbps: int = 0, seconds: float = METADATA_SECONDS) -> None:
        self._bytes_a_second = limit_kbps * 1000 / 8
        self._seconds = seconds
        self._answers: list[Generator[bytes, None, None]] = []

    def close(self) -> None:
        """Ends what is still being read: who finds an answer too long leaves it."""
        for answer in self._answers:
            answer.close()
        self._answers.clear()

    def _fetch(self, url: str) -> Iterator[bytes]:
        proxy = proxy_for(url)
        pool = urllib3.ProxyManager(proxy) if proxy else urllib3.PoolManager()
        timeout = urllib3.Timeout(connect=SILENCE_SECONDS, read=SILENCE_SECONDS)
        try:
            response = pool.request(
                "GET", url, preload_content=False, redirect=False, retries=False, timeout=timeout, decode_content=False
            )
        except urllib3.exceptions.HTTPError:
            pool.clear()
            raise
        if response.status != 200:
            response.close()
            pool.clear()
            raise tuf.DownloadHTTPError(f"{url} answered {response.status}", response.status)
        answer = self._paced(pool, response)
        self._answers.append(answer)
        return answer

    def _paced(self, pool: urllib3.PoolManager, response: urllib3.BaseHTTPResponse) -> Generator[bytes, None, None]:
        started, read_bytes = time.monotonic(), 0
        try:
            while chunk := response.read(READ_BYTES):
                read_bytes += len(chunk)
                elapsed = time.monotonic() - started
                if elapsed > self._seconds:
                    raise tuf.SlowRetrievalError("the time limit has passed")
                yield chunk
                ahead = read_bytes / self._bytes_a_second - elapsed if self._bytes_a_second else 0.0
                if ahead > 0:
                    time.sleep(min(ahead, SILENCE_SECONDS))
        finally:
            response.close()
            pool.clear()


class Believer:
    """The release metadata of one installation: the root that came with it, and everything it has verified since."""

    def __init__(
        self,
        folder: Path,
        repository_url: str,
        root: bytes,
        *,
        limit_kbps: int = 0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._folder, self._root, self._now = folder, root, now
        self._url = repository_url.rstrip("/")
        self._limit_kbps = limit_kbps

    def find(self, path: str) -> Target:
        """The target at a path, by fresh metadata.

        Raises:
            LauncherError: they cannot be fetched or verified, or they have no such target.
        """
        self._check_clock()
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            with closing(self._fetcher(METADATA_SECONDS)) as fetcher:
                updater = self._updater(fetcher)
                updater.refresh()
                found = updater.get_targetinfo(path)
        except (tuf.RepositoryError, tuf.DownloadError) as error:
            raise _named(error) from error
        self._note_clock()
        if found is None:
            message = "the release that the server names is not among those that were signed"
            raise LauncherError("CLIENT_TARGET_UNKNOWN", message, ExitCode.CORRUPT)
        return _target_of(found)

    def fetch(self, target: Target, to: Path) -> None:
        """Downloads a target that `find` gave into a file.

        Raises:
            LauncherError: it cannot be had, or is not what was signed.
        """
        try:
            with closing(self._fetcher(TARGET_SECONDS)) as fetcher:
                self._updater(fetcher).download_target(target.file, str(to))
        except tuf.LengthOrHashMismatchError as error:
            message = "the downloaded release is not what was signed"
            raise LauncherError("CLIENT_TARGET_CORRUPT", message, ExitCode.CORRUPT) from error
        except (tuf.RepositoryError, tuf.DownloadError) as error:
            raise _named(error) from error

    def _fetcher(self, seconds: float) -> CappedFetcher:
        return CappedFetcher(limit_kbps=self._limit_kbps, seconds=seconds)

    def _updater(self, fetcher: CappedFetcher) -> Updater:
        return Updater(
            str(self._folder),
            f"{self._url}/metadata/",
            target_base_url=f"{self._url}/targets/",
            fetcher=fetcher,
            config=UpdaterConfig(max_root_rotations=64),
            bootstrap=self._root,
        )

    def _check_clock(self) -> None:
        """A clock that was set back would make expired metadata look fresh."""
        try:
            latest = datetime.fromisoformat(json.loads((self._folder / _CLOCK).read_text())["latest"])
            is_behind = self._now() < latest - CLOCK_TOLERANCE
        except (OSError, ValueError, TypeError, KeyError):
            return
        if is_behind:
            message = f"this machine's clock is behind a time it has shown before ({latest:%Y-%m-%d}): set it right"
            raise LauncherError("CLIENT_CLOCK_WRONG", message, ExitCode.UNEXPECTED)

    def _note_clock(self) -> None:
        draft = self._folder / f"{_CLOCK}.draft"
        draft.write_text(json.dumps({"latest": self._now().isoformat()}))
        draft.replace(self._folder / _CLOCK)


def _target_of(found: TargetFile) -> Target:
    custom = cast("dict[str, Any]", found.custom or {})
    rollback_from = custom.get("rollback_from")
    sha256 = found.hashes.get("sha256", "")
    if not 0 < found.length <= MAX_TARGET_BYTES or len(sha256) != 64:
        raise LauncherError("CLIENT_METADATA_INVALID", "the release is too large or has no SHA-256", ExitCode.CORRUPT)
    return Target(found, bytes.fromhex(sha256), found.length, None if rollback_from is None else str(rollback_from))


def _named(error: Exception) -> LauncherError:
    for kind, code, message in _CODES:
        if isinstance(error, kind):
            return LauncherError(code, f"{message}; the installed version stays ({error})", ExitCode.CORRUPT)
    message = f"the releases cannot be reached; the installed version stays ({error})"
    return LauncherError("SERVICE_UNAVAILABLE", message, ExitCode.NETWORK)
