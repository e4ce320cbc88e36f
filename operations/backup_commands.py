"""`samovar backup` and `samovar restore`: the commands over operations.backups. Mounted by launcher.cli.main."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, TypeVar

import typer
from prometheus_client import Gauge
from pydantic import Field, SecretStr, field_validator

from chassis.concurrency.background import attempt
from chassis.errors import DomainError
from chassis.observability.telemetry import serve_metrics
from chassis.runtime.backends import ObjectSettings
from chassis.settings import load_settings
from depot.terminal import say
from operations.backups import Archive, Backup, BackupError, back_up, check, parse_keys, restore

EXIT_FAILED = 1
WATCH_SECONDS = 60.0

T = TypeVar("T")

_last_success = Gauge(
    "backup_last_success_timestamp_seconds", "When the newest backup was whole; 0 = there is none.", ["name"]
)
_last_size = Gauge("backup_last_size_bytes", "The size of the newest backup.", ["name"])

app = typer.Typer(
    help="Backups of the services' databases.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Name = Annotated[str, typer.Option(help="Which database: library or download.")]


class BackupSettings(ObjectSettings):
    """The settings for the place of backups and the keys that seal them. The source is POSTGRES_DSN."""

    postgres_dsn: SecretStr = SecretStr("")
    backup_keys: SecretStr
    """ID:BASE64 with commas between, the newest first; 32 bytes each."""
    backup_kept_days: int = Field(30, ge=1, le=3650)

    @field_validator("backup_keys")
    @classmethod
    def _are_keys(cls, value: SecretStr) -> SecretStr:
        parse_keys(value.get_secret_value())
        return value


@app.command("now")
def now(name: Name) -> None:
    """Dump POSTGRES_DSN into the object store, sealed, and drop what is too old."""
    settings = load_settings(BackupSettings)
    dsn = settings.postgres_dsn.get_secret_value()
    if not dsn:
        say("POSTGRES_DSN: needed to make a backup", err=True)
        raise typer.Exit(EXIT_FAILED)
    kept = timedelta(days=settings.backup_kept_days)
    made = _with_archive(settings, name, lambda archive: back_up(archive, dsn, kept=kept))
    say(f"made  {_line(made)}  in {(made.finished_at - made.started_at).total_seconds():.1f} s")


@app.command("list")
def list_backups(name: Name) -> None:
    """List the whole backups, the oldest first."""
    for one in _with_archive(load_settings(BackupSettings), name, lambda archive: archive.list()):
        say(_line(one))


@app.command("check")
def check_newest(
    name: Name, max_age_hours: Annotated[float, typer.Option(min=0.1, help="Older than this is too old.")] = 26.0
) -> None:
    """Read the newest backup whole: fetch it, open it, have pg_restore read it. Exit code 1 if it is bad or too old."""

    async def read(archive: Archive) -> Backup:
        newest = await archive.find()
        await check(archive, newest)
        return newest

    newest = _with_archive(load_settings(BackupSettings), name, read)
    age = datetime.now(UTC) - newest.finished_at
    say(f"good  {_line(newest)}  {age.total_seconds() / 3600:.1f} h old")
    if age > timedelta(hours=max_age_hours):
        say(f"samovar backup: the newest backup of {name} is older than {max_age_hours:g} h", err=True)
        raise typer.Exit(EXIT_FAILED)


@app.command("watch")
def watch(name: Annotated[list[str], typer.Option(help="Which databases.")]) -> None:
    """Serve the age and size of the newest backups on METRICS_PORT until it is stopped."""
    settings = load_settings(BackupSettings)
    for one in name:
        _last_success.labels(one).set(0)
        _last_size.labels(one).set(0)
    stop = serve_metrics(settings.metrics_host, settings.metrics_port)
    try:
        asyncio.run(_watch(settings, name))
    except KeyboardInterrupt:
        pass
    finally:
        stop()


def restore_command(
    name: Name,
    into: Annotated[
        str, typer.Option(help="DSN of the database to fill; made if it is missing, refused if it holds tables.")
    ],
    to: Annotated[datetime | None, typer.Option(help="The newest backup from before this moment (UTC).")] = None,
) -> None:
    """Fill an empty database from a backup."""
    at = None if to is None else to.replace(tzinfo=to.tzinfo or UTC)

    async def bring_back(archive: Archive) -> Backup:
        chosen = await archive.find(at)
        await restore(archive, chosen, into)
        return chosen

    began = time.monotonic()
    restored = _with_archive(load_settings(BackupSettings), name, bring_back)
    say(f"restored  {_line(restored)}  in {time.monotonic() - began:.1f} s")
    say(f"what was committed after {restored.started_at:%Y-%m-%dT%H:%M:%SZ} is not in it; run `migrate` next")


async def report(archive: Archive) -> None:
    """Set the metrics of one archive."""
    if found := await archive.list():
        _last_success.labels(archive.name).set(found[-1].finished_at.timestamp())
        _last_size.labels(archive.name).set(found[-1].size_bytes)


async def _watch(settings: BackupSettings, names: list[str]) -> None:
    keys = parse_keys(settings.backup_keys.get_secret_value())
    async with settings.open_object_store() as store:
        while True:
            for name in names:
                archive = Archive(store, name, keys)
                await attempt(f"backup watch {name}", lambda archive=archive: report(archive))  # type: ignore[misc]
            await asyncio.sleep(WATCH_SECONDS)


def _with_archive(settings: BackupSettings, name: str, work: Callable[[Archive], Awaitable[T]]) -> T:
    async def run() -> T:
        async with settings.open_object_store() as store:
            return await work(Archive(store, name, parse_keys(settings.backup_keys.get_secret_value())))

    try:
        return asyncio.run(run())
    except BackupError as error:
        say(f"samovar backup: {error}", err=True)
    except DomainError as error:
        say(f"samovar backup: the object store is away ({error.reason})", err=True)
    raise typer.Exit(EXIT_FAILED)


def _line(backup: Backup) -> str:
    return (
        f"{backup.id}  {backup.started_at:%Y-%m-%dT%H:%M:%SZ}  {backup.size_bytes} bytes in {backup.parts} parts  "
        f"key {backup.key_id}  schema {backup.schema_revision or 'none'}"
    )
