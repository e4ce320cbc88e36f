"""`samovar objects`: the buckets of the object store that OBJECTS_BACKEND names. Mounted by launcher.cli.main."""

import typer
import urllib3
from minio.error import MinioException

from chassis.objects.s3_bucket import make_bucket
from chassis.runtime.backends import ObjectSettings
from chassis.settings import load_settings
from depot.terminal import say

EXIT_FAILED = 1

app = typer.Typer(
    help="The buckets of the object store.", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)


@app.callback()
def objects() -> None:
    """The buckets of the object store."""


@app.command()
def bucket() -> None:
    """Make the buckets of content and of saves if they are missing, and set their versions and their expiry."""
    settings = load_settings(ObjectSettings)
    if settings.objects_backend != "s3":
        say(f"OBJECTS_BACKEND is {settings.objects_backend}: it needs no bucket")
        return
    for name in (settings.s3_bucket, settings.s3_bucket_savegames):
        try:
            made = make_bucket(settings.s3_location(name))
        except (MinioException, urllib3.exceptions.HTTPError, OSError) as error:
            say(f"samovar objects bucket: {settings.s3_endpoint}: {error}", err=True)
            raise typer.Exit(EXIT_FAILED) from None
        say(f"{'made' if made else 'there'}  {name}: old versions and unfinished uploads expire")
