"""`samovar publish` and `samovar sandbox …`: a publisher's studio and the levers of the stand-ins. Mounted by
launcher.cli.main; heavy modules are imported by the command that needs them, so that every other command starts at once.
"""

# ruff: noqa: PLC0415  imports inside functions are the point

import asyncio
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from uuid import UUID

import typer

from depot.terminal import say, say_json

if TYPE_CHECKING:
    from samovar.sandbox.v1.sandbox_pb2_grpc import SandboxServiceStub

    from sandbox.publishing.publisher import Published

T = TypeVar("T")

MAX_VERSION_NAME_LENGTH = 100
MAX_STEPS = 2**31
"""The steps of an achievement are fewer than these."""


class ExitCode(IntEnum):
    """The same exit codes as the launcher's."""

    UNEXPECTED = 1
    USAGE = 2
    DENIED = 4
    NETWORK = 5


class PlatformName(StrEnum):
    """The platform that a version runs on."""

    WINDOWS = "windows"
    LINUX = "linux"
    MACOS = "macos"


app = typer.Typer(name="sandbox", help="Levers of the local platform's stand-ins.", no_args_is_help=True)

User = Annotated[UUID, typer.Argument(help="The user's UUID.", metavar="USER")]
Product = Annotated[str, typer.Argument(help="UUID or slug of the product.", metavar="PRODUCT")]


@app.command()
def token(
    user: Annotated[UUID | None, typer.Option(help="A user's token: their UUID.")] = None,
    roles: Annotated[str, typer.Option(help="Roles of the user, with commas.")] = "user",
    permissions: Annotated[str, typer.Option(help="Permissions of the user, with commas (channel:beta).")] = "",
    ttl_seconds: Annotated[int, typer.Option(help="Life; 0 = the usual one, negative = expired already.")] = 0,
    service: Annotated[str, typer.Option(help="A program's token instead: its name.")] = "",
    audience: Annotated[str, typer.Option(help="The service that a program's token is for.")] = "",
) -> None:
    """Print a token of the Auth stand-in."""
    from samovar.sandbox.v1 import sandbox_pb2

    if (user is None) == (not service):
        raise typer.BadParameter("give either --user or --service")
    if service and not audience:
        raise typer.BadParameter("--service needs --audience")
    request = sandbox_pb2.IssueTokenRequest(
        user_id=str(user or ""),
        roles=_names(roles) if user else (),
        permissions=_names(permissions),
        ttl_seconds=ttl_seconds,
        service=service,
        audience=audience,
    )
    say(_pull("token", lambda stub: stub.IssueToken(request)).token)


@app.command()
def buy(user: User, products: Annotated[list[str], typer.Argument(help="UUIDs or slugs.", metavar="PRODUCT…")]) -> None:
    """Buy products for a user; prints the order's id."""
    from samovar.sandbox.v1 import sandbox_pb2

    request = sandbox_pb2.BuyRequest(user_id=str(user), product_ids=[_product_id(product) for product in products])
    say(_pull("buy", lambda stub: stub.Buy(request)).order_id)


@app.command()
def refund(order: Annotated[UUID, typer.Argument(help="The order's id.", metavar="ORDER")]) -> None:
    """Pay an order back; prints the refund's id."""
    from samovar.sandbox.v1 import sandbox_pb2

    request = sandbox_pb2.RefundRequest(order_id=str(order))
    say(_pull("refund", lambda stub: stub.Refund(request)).refund_id)


@app.command()
def achievements(
    product: Product,
    names: Annotated[list[str] | None, typer.Argument(help="In this order.", metavar="NAME[=STEPS]…")] = None,
    hidden: Annotated[
        list[str] | None, typer.Option(help="A secret until it is unlocked.", metavar="NAME[=STEPS]")
    ] = None,
) -> None:
    """Have a product have these achievements and no others; prints their ids. (The library asks again after an hour.)"""
    from catalog.v1 import product_pb2
    from samovar.sandbox.v1 import sandbox_pb2

    product_id = _product_id(product)
    wanted = [_achievement(product_id, text) for text in names or ()]
    wanted += [_achievement(product_id, text, is_hidden=True) for text in hidden or ()]
    if not wanted:
        raise typer.BadParameter("name at least one achievement")
    request = sandbox_pb2.PutProductRequest(product=product_pb2.Product(product_id=product_id), achievements=wanted)
    _pull("achievements", lambda stub: stub.PutProduct(request))
    for one in wanted:
        say(f"{one.achievement_meta_id}  {one.names.en}")


@app.command()
def price(
    product: Product,
    discount: Annotated[int, typer.Option(help="Percent; 0 = no sale.", min=0, max=100)],
    seconds: Annotated[int, typer.Option(help="How long the sale lasts.", min=0)] = 86_400,
) -> None:
    """Start a sale; prints its id."""
    from samovar.sandbox.v1 import sandbox_pb2

    request = sandbox_pb2.SetPriceRequest(
        product_id=_product_id(product), discount_percent=discount, duration_seconds=seconds
    )
    say(_pull("price", lambda stub: stub.SetPrice(request)).sale_id)


@app.command("delete-user")
def delete_user(user: User) -> None:
    """Delete an account: all services erase what is the user's."""
    from samovar.sandbox.v1 import sandbox_pb2

    request = sandbox_pb2.DeleteUserRequest(user_id=str(user))
    _pull("delete-user", lambda stub: stub.DeleteUser(request))
    say(f"deleted {user}")


@app.command()
def products(*, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the products of the Catalog stand-in."""
    from samovar.sandbox.v1 import sandbox_pb2

    found = _pull("products", lambda stub: stub.ListProducts(sandbox_pb2.ListProductsRequest())).products
    if as_json:
        rows = [
            {
                "product_id": one.product_id,
                "title_ru": one.titles.ru,
                "title_en": one.titles.en,
                "product_type": one.product_type,
                "versions": [
                    {"version_id": version.version_id, "version_name": version.version_name} for version in one.versions
                ],
            }
            for one in found
        ]
        say_json(rows)
        return
    for one in found:
        versions = ", ".join(_called(version) for version in one.versions) or "no version"
        say(f"{one.product_id}  {one.titles.en} / {one.titles.ru}  ({versions})")


def _called(version: Any) -> str:
    name: str = version.version_name
    return f"{name} withdrawn" if version.is_withdrawn else name


@dataclass(frozen=True, slots=True)
class _Order:
    """The arguments of `samovar publish`."""

    folder: Path
    product: str
    version_name: str
    platform: PlatformName
    title_ru: str
    title_en: str
    channel: str
    is_critical: bool
    user_paths: tuple[str, ...]


def publish(
    folder: Annotated[Path, typer.Argument(help="The tree to publish.", metavar="DIR")],
    product: Annotated[str, typer.Option(help="UUID of the product, or a slug that always gives the same one.")],
    version: Annotated[str, typer.Option(help="Name of the version: 1.0.2.")],
    platform: Annotated[PlatformName, typer.Option(help="What it runs on.")] = PlatformName.LINUX,
    title_ru: Annotated[str, typer.Option(help="Title in Russian; empty = as it is.")] = "",
    title_en: Annotated[str, typer.Option(help="Title in English; empty = as it is.")] = "",
    channel: Annotated[str, typer.Option(help="stable, or one that needs a permission: beta.")] = "",
    user_paths: Annotated[
        list[str] | None,
        typer.Option(
            "--user-path",
            help="Paths that are the user's, as in 'saves/**': placed once, then left alone.",
            metavar="PATTERN",
        ),
    ] = None,
    *,
    critical: Annotated[bool, typer.Option("--critical", help="Clients should not go on without it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Publish a folder: content-defined chunks, a signed manifest, and Catalog's announcement. Repeating it is harmless."""
    if not 0 < len(version) <= MAX_VERSION_NAME_LENGTH or not version.isprintable():
        raise typer.BadParameter(f"--version must be 1 to {MAX_VERSION_NAME_LENGTH} printable characters")
    if not product:
        raise typer.BadParameter("--product must not be empty")
    order = _Order(folder, product, version, platform, title_ru, title_en, channel, critical, tuple(user_paths or ()))
    started = time.monotonic()
    with _progress(quiet=as_json) as progress:
        published = _run("publish", _publish(order, progress))
    seconds = time.monotonic() - started
    if as_json:
        say_json(_as_json(published, order, seconds))
        return
    say(
        f"published {product} {version} for {platform}: {published.files} files, "
        f"{published.total_size_bytes / 1e6:.1f} MB in {published.chunks} chunks, "
        f"{published.new_chunks} of them new ({published.new_bytes / 1e6:.1f} MB stored), {seconds:.1f} s"
    )
    say(f"product {published.version.product_id}")
    say(f"version {published.version.version_id}")


def withdraw(
    product: Product,
    version: Annotated[str, typer.Argument(help="Name or UUID of the version.", metavar="VERSION")],
) -> None:
    """Withdraw a version: nobody can download it any more, and who has it goes back to the one before. Prints its ids.

    A name means the version on every platform that has it. What lies in the object store stays, for those who still play it.
    """
    from samovar.sandbox.v1 import sandbox_pb2

    request = sandbox_pb2.WithdrawVersionRequest(product_id=_product_id(product), version=version)
    for version_id in _pull("withdraw", lambda stub: stub.WithdrawVersion(request), name="withdraw").version_ids:
        say(version_id)


async def _publish(order: _Order, progress: Callable[[int], None]) -> "Published":
    from datetime import UTC, datetime

    from content.v1 import manifest_pb2 as content
    from samovar.sandbox.v1 import sandbox_pb2

    from chassis.runtime.backends import ObjectSettings
    from sandbox.client import read_platform, sandbox_stub
    from sandbox.ids import manifest_url, product_id_of, version_id_of
    from sandbox.peers import keys
    from sandbox.publishing import publisher

    facts = read_platform()
    product = product_id_of(order.product)
    platform = getattr(content, f"PLATFORM_{order.platform.name}")
    version = publisher.Version(product, version_id_of(product, order.version_name, order.platform), platform)
    objects = ObjectSettings(**{name.lower(): value for name, value in facts["objects"].items()})
    key_id, key = await asyncio.to_thread(keys.publisher_key, Path(facts["sandbox_state_dir"]))
    async with sandbox_stub(facts) as stub, objects.open_object_store() as store:
        known = {one.product_id for one in (await stub.ListProducts(sandbox_pb2.ListProductsRequest())).products}
        published = await publisher.publish_tree(
            order.folder,
            version,
            store=store,
            signer=publisher.Signer(key_id, key),
            now=lambda: datetime.now(UTC),
            user_paths=order.user_paths,
            progress=progress,
        )
        product_id, version_id = str(version.product_id), str(version.version_id)
        if order.title_ru or order.title_en or product_id not in known:
            await stub.PutProduct(_product_request(order, product_id, is_new=product_id not in known))
        await stub.AnnounceVersion(
            sandbox_pb2.AnnounceVersionRequest(
                product_id=product_id,
                version_id=version_id,
                version_name=order.version_name,
                platform=version.platform,
                file_manifest_url=manifest_url(facts["sandbox_http_url"], product_id, version_id),
                total_size_bytes=published.total_size_bytes,
                is_critical=order.is_critical,
                channel=order.channel,
            )
        )
    return published


def _product_request(order: _Order, product_id: str, *, is_new: bool) -> Any:
    from catalog.v1 import product_pb2
    from samovar.sandbox.v1 import sandbox_pb2

    title_ru, title_en = order.title_ru, order.title_en
    if is_new and not (title_ru or title_en):
        title_en = order.product
    titles = product_pb2.LocalizedText(ru=title_ru, en=title_en)
    return sandbox_pb2.PutProductRequest(product=product_pb2.Product(product_id=product_id, titles=titles))


def _as_json(published: "Published", order: _Order, seconds: float) -> Mapping[str, Any]:
    return {
        "product_id": str(published.version.product_id),
        "version_id": str(published.version.version_id),
        "version_name": order.version_name,
        "platform": order.platform.value,
        "files": published.files,
        "entries": published.entries,
        "total_size_bytes": published.total_size_bytes,
        "chunks": published.chunks,
        "new_chunks": published.new_chunks,
        "new_bytes": published.new_bytes,
        "manifest_sha256": published.manifest_sha256,
        "manifest_size_bytes": published.manifest_size_bytes,
        "was_published": published.was_published,
        "seconds": round(seconds, 3),
    }


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A counter of bytes on the terminal, if there is one."""
    if quiet or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.progress import DownloadColumn, Progress, SpinnerColumn, TransferSpeedColumn

    from depot.console import PlainConsole

    columns = (SpinnerColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=PlainConsole(stderr=True), transient=True) as bar:
        task = bar.add_task("publishing", total=None)
        yield lambda size_bytes: bar.advance(task, size_bytes)


def _pull(command: str, lever: "Callable[[SandboxServiceStub], Any]", *, name: str = "") -> Any:
    """One call of a lever. `name` is how messages call the command, else `sandbox` and its own."""

    async def call() -> Any:
        from sandbox.client import read_platform, sandbox_stub

        async with sandbox_stub(read_platform()) as stub:
            return await lever(stub)

    return _run(name or f"sandbox {command}", call())


def _run(command: str, work: Coroutine[Any, Any, T]) -> T:
    """Runs a command's work; a failure is one line on stderr and an exit code that is not 0."""
    import grpc

    from chassis.errors import DomainError
    from sandbox.client import PlatformAway
    from sandbox.publishing.tree import PublishRefused

    try:
        return asyncio.run(work)
    except PlatformAway as error:
        text, code = str(error), ExitCode.NETWORK
    except PublishRefused as error:
        text, code = str(error), ExitCode.UNEXPECTED
    except grpc.aio.AioRpcError as error:
        text, code = _explain(error)
    except (DomainError, OSError) as error:
        text, code = str(error), ExitCode.UNEXPECTED
    say(f"samovar {command}: {text}", err=True)
    raise typer.Exit(code) from None


def _explain(error: Any) -> tuple[str, ExitCode]:
    from chassis.errors import Kind
    from chassis.errors.reasons import texts
    from chassis.errors.wire import from_rpc_error

    failure = from_rpc_error(error)
    codes = {
        Kind.NOT_FOUND: ExitCode.DENIED,
        Kind.PERMISSION_DENIED: ExitCode.DENIED,
        Kind.UNAVAILABLE: ExitCode.NETWORK,
        Kind.DEADLINE_EXCEEDED: ExitCode.NETWORK,
        Kind.INVALID_ARGUMENT: ExitCode.USAGE,
    }
    title, detail = texts(failure.reason, "en", failure.details)
    lines = [f"{violation.field}: {violation.description}" for violation in failure.violations]
    return "; ".join([title, *lines] if lines else [detail]), codes.get(failure.kind, ExitCode.UNEXPECTED)


def _names(text: str) -> list[str]:
    return [name for name in (part.strip() for part in text.split(",")) if name]


def _achievement(product_id: str, text: str, *, is_hidden: bool = False) -> Any:
    """Return the achievement described by `NAME` or `NAME=STEPS`."""
    from catalog.v1 import product_pb2

    from sandbox.ids import achievement_id_of

    name, _, steps = text.partition("=")
    if not name.strip() or not (steps or "1").isdecimal() or not 0 < int(steps or "1") < MAX_STEPS:
        raise typer.BadParameter(f"{text!r} is not NAME or NAME=STEPS")
    return product_pb2.Achievement(
        achievement_meta_id=str(achievement_id_of(UUID(product_id), name)),
        names=product_pb2.LocalizedText(ru=name, en=name),
        total_progress_needed=int(steps or "1"),
        is_hidden=is_hidden,
    )


def _product_id(product: str) -> str:
    from sandbox.ids import product_id_of

    return str(product_id_of(product))
