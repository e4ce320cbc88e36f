"""Installs, updates or repairs a game: from the request to the last rename, resumable at any point, from whatever is on the disk.
Called by the commands, by the demo and by tests.
"""

import asyncio
import hashlib
import threading
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

from content.v1 import manifest_pb2 as content

from depot.errors import ManifestInvalid, ManifestSignatureInvalid
from depot.manifest import MAX_STORED_BYTES
from depot.signing import parse_public_keys
from launcher.api.download_client import MAX_LINK_IDS, Api, open_api
from launcher.api.resources import ManifestReference, Session
from launcher.cdn.cdn import Cdn, DeliveryError, open_cdn
from launcher.cdn.limiter import Limiter, limiter_of
from launcher.disk.commit import Placement, Removed
from launcher.disk.keeping import recognise
from launcher.disk.plan import Outdated, Plan, PlannedChunk, outdated_by, read_manifest
from launcher.disk.scan import Found, survey
from launcher.disk.workspace import Kept, State, Workspace
from launcher.disk.writer import Writer
from launcher.failures import ExitCode, LauncherError, first_failure
from launcher.install.agreement import REFUSED_PLANS, Agreement
from launcher.install.links import LinkCache
from launcher.install.patching import Patcher, choose, offers_of
from launcher.install.pipeline import Patience, Pipeline, Threads, missing_chunks, open_threads
from launcher.install.progress import Ledger, Phase, Progress
from launcher.install.reporter import Reporter
from launcher.install.reuse import reuse
from launcher.install.sessions import InstallRequest, obtain_session, wait_for_slot
from launcher.install.slots import describe_holders
from launcher.settings import Account

__all__ = ["InstallRequest", "InstallResult", "Patience", "install"]

MANIFEST_TRIES = 5
LINKS_HORIZON_SECONDS = 120.0
"""Under a limit, links are fetched for so much time ahead: more would end unused."""
MIN_BATCH_LINKS = 16
FAREWELL_SECONDS = 3.0
"""The time that an ending launcher spends trying to notify the server."""

_ITEM_CODES = frozenset({"FILE_HASH_MISMATCH", "CDN_ERROR", "INSUFFICIENT_CLIENT_DISK_SPACE"})
"""Failures of a file that are reported to the server: they put the session in error, and the next run retries it."""
_ENDING_CODES = frozenset({"MANIFEST_INVALID", "MANIFEST_SIGNATURE_INVALID", *REFUSED_PLANS})
_SETTLED_CODES = frozenset({"DOWNLOAD_PAUSED", "DOWNLOAD_CANCELLED", "SERVICE_UNAVAILABLE"})
"""Failures after which the session holds no slot, or after which the server cannot be notified: there it lapses."""
SLOT_HOLDERS_SECONDS = 10.0
"""The interval between two requests for the downloads that hold the slots."""


@dataclass(frozen=True, slots=True)
class InstallResult:
    """The result. `bytes` of the files, `fetched_bytes` of the network, `resumed_bytes` of the files had before, `reused_bytes`
    of the files that were copied from others on the disk; `written_files` were put in place, `removed_files` of the version before.
    `kept` is the user's content that lay at paths of the game, renamed beside; `left` are paths of files that the new version
    dropped and that were changed since they were placed: they stay. `session_id` is None when there was nothing to do (`status`
    `up_to_date`).
    """

    status: str
    files: int
    bytes: int
    seconds: float
    fetched_bytes: int
    resumed_bytes: int
    session_id: str | None
    version_id: str
    previous_version_id: str | None = None
    reused_bytes: int = 0
    written_files: int = 0
    removed_files: int = 0
    patched_files: int = 0
    """Files built from the file of the previous version and a patch."""
    patch_fallbacks: Mapping[str, str] = field(default_factory=dict)
    """Files whose patch could not be used, and why: they were fetched by chunks."""
    was_withdrawn: bool = False
    """The version that was in place was withdrawn, and this is an older one."""
    kept: Sequence[Kept] = ()
    left: Sequence[str] = ()


@dataclass(slots=True)
class _Installation:
    """The state that the steps of one installation share."""

    account: Account
    request: InstallRequest
    progress: Progress
    patience: Patience
    api: Api
    cdn: Cdn
    limiter: Limiter | None
    workspace: Workspace
    threads: Threads
    stop: threading.Event
    previous: Sequence[Plan] = ()
    """The plans of the versions that may be in the folder, as far as they are known."""
    session: Session | None = None
    is_cancelled: bool = False


async def install(
    account: Account,
    request: InstallRequest,
    *,
    progress: Progress | None = None,
    patience: Patience | None = None,
) -> InstallResult:
    """Installs the game in `request.directory` and reports to the server. Uses what an interrupted run left.

    `progress` is filled on the way, for a display. A cancelled call keeps everything for the next and pauses the session.

    Raises:
        LauncherError: with the exit code and the platform's error code.
    """
    started = time.monotonic()
    _check_keys(account)
    async with _open(account, request, progress or Progress(), patience or Patience()) as work:
        try:
            return await _install(work, started)
        except asyncio.CancelledError:
            await _give_slot_back(work)
            raise
        except BaseException as error:  # noqa: BLE001  # raised again: whatever it is, it holds no slot
            failure = _named(error)
            if isinstance(failure, LauncherError):
                work.is_cancelled = failure.exit_code is ExitCode.CANCELLED or failure.code in REFUSED_PLANS
            await _let_go(work, failure)
            raise failure from error.__cause__


@asynccontextmanager
async def _open(
    account: Account, request: InstallRequest, progress: Progress, patience: Patience
) -> AsyncIterator[_Installation]:
    """Open the resources in such an order that the threads have finished before their folder is cleared or closed."""
    limiter = limiter_of(request.limit_kbps)
    stop = threading.Event()
    workspace = await asyncio.to_thread(Workspace.open, request.directory)
    work: _Installation | None = None
    try:
        async with (
            open_api(
                account, first_delay_seconds=patience.first_delay_seconds, outage_seconds=patience.outage_seconds
            ) as api,
            open_threads() as threads,
        ):
            with open_cdn(limiter=limiter) as cdn:
                work = _Installation(account, request, progress, patience, api, cdn, limiter, workspace, threads, stop)
                try:
                    yield work
                finally:
                    stop.set()
    finally:
        if work is not None and work.is_cancelled:
            await asyncio.to_thread(workspace.discard)
        workspace.close()


async def _install(work: _Installation, started: float) -> InstallResult:
    installed = await work.threads.run(work.workspace.installed)
    work.previous = await work.threads.run(work.workspace.kept_plans)
    work.request = _for_same_platform(work.request, work.previous)
    in_place = await work.threads.run(work.workspace.installed_plan)
    agreement = Agreement(work.request, in_place, work.account.language)
    session = await _start(work, agreement)
    work.progress.phase = Phase.CHECKING
    async with _kept_alive(work):
        plan = await _plan(work, session, agreement)
        # A repair brings some of the files; whatever else the scan finds damaged is mended too, without a report.
        scope = await work.api.item_ids(session.id) if session.is_repair else None
        if plan.links:
            await work.threads.run(work.workspace.require_links)
        outdated = outdated_by(plan, work.previous)
        journal, recorded = await work.threads.run(lambda: work.workspace.open_journal(plan.manifest_sha256))
        found = await work.threads.run(lambda: survey(work.workspace, plan, recorded, outdated, work.stop))
    writer = Writer(work.workspace, plan, journal, found, work.stop)
    assert work.session is not None  # noqa: S101  # it has been started
    reporter = Reporter(
        work.api,
        work.session,
        Ledger(plan, session.id, found, work.progress, scope=scope),
        last_sequence=recorded.sequence if recorded else 0,
        record_sequence=lambda sequence: work.threads.run(lambda: writer.record_sequence(sequence)),
    )
    removed = await _bring(work, plan, outdated, found, writer, reporter)
    session = await reporter.finish()
    kept = await work.threads.run(work.workspace.take_kept)
    await work.threads.run(work.workspace.discard)
    work.progress.phase = Phase.COMPLETED
    return InstallResult(
        status=session.status.value,
        files=len(plan.files),
        bytes=plan.total_bytes,
        seconds=round(time.monotonic() - started, 3),
        fetched_bytes=work.progress.fetched_bytes,
        resumed_bytes=work.progress.resumed_bytes,
        session_id=str(session.id),
        version_id=str(plan.version_id),
        previous_version_id=str(installed.version_id) if installed and installed.version_id else None,
        reused_bytes=work.progress.reused_bytes,
        written_files=len(plan.files) - len(found.in_place),
        removed_files=removed.count,
        kept=kept,
        left=removed.left,
        patched_files=work.progress.patched_files,
        patch_fallbacks=dict(work.progress.patch_fallbacks),
    )


def _for_same_platform(request: InstallRequest, previous: Sequence[Plan]) -> InstallRequest:
    """Return the request for the platform of the version in the folder, unless another platform was named."""
    if request.platform is None and request.version_id is None and previous:
        return replace(request, platform=previous[0].platform)
    return request


@asynccontextmanager
async def _kept_alive(work: _Installation) -> AsyncIterator[None]:
    """Reports regularly that this client is alive: scanning a large folder takes longer than the server waits for a report."""

    async def beat() -> None:
        while True:
            await asyncio.sleep(work.patience.keep_alive_seconds)
            assert work.session is not None  # noqa: S101  # it has been started
            with suppress(LauncherError):  # whatever it is, the first report after the scan meets it again
                work.session = await work.api.report(work.session.id, int(time.time() * 1000), (), ())

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()
        with suppress(asyncio.CancelledError):
            await beating


async def _start(work: _Installation, agreement: Agreement) -> Session:
    """Return a session of this installation that holds a slot."""
    workspace, product_id = work.workspace, work.request.product_id
    await work.threads.run(lambda: workspace.check_product(product_id))
    state = await work.threads.run(workspace.state)
    session = await obtain_session(
        work.api,
        work.request,
        device_id=work.account.device_id,
        known=state if state is not None and state.product_id == product_id else None,
        # The server knows the space that a whole version needs; an update needs less, which only this side can calculate.
        free_bytes=None if work.previous else await work.threads.run(workspace.free_bytes),
    )
    agreement.check_session(session)
    work.session = session
    new_state = State(session.id, session.product_id, session.version_id, is_rollback=work.request.is_rollback)
    await work.threads.run(lambda: workspace.save_state(new_state))
    work.progress.phase = Phase.QUEUED

    asked_at = -SLOT_HOLDERS_SECONDS

    async def waiting(seen: Session) -> None:
        nonlocal asked_at
        agreement.check_session(seen)
        work.progress.queue_position = seen.queue_position
        if time.monotonic() - asked_at >= SLOT_HOLDERS_SECONDS:
            work.progress.slot_holders = await describe_holders(work.account, work.api)
            asked_at = time.monotonic()

    session = await wait_for_slot(work.api, session, waiting)
    agreement.check_session(session)
    work.session = session
    return session


async def _plan(work: _Installation, session: Session, agreement: Agreement) -> Plan:
    """Return the plan of the manifest, fetched or kept from an earlier run, and checked with this device's own keys."""
    reference = await work.api.manifest(session.id)
    signature = content.ManifestSignature(key_id=reference.key_id, signature=reference.signature)
    sha256 = _sha256_of(reference)
    workspace = work.workspace
    stored = await work.threads.run(lambda: workspace.stored_manifest(sha256, max_bytes=MAX_STORED_BYTES))
    if stored is None or hashlib.sha256(stored).digest() != sha256:
        stored = await _fetch_manifest(work, session, reference)
    plan = await work.threads.run(
        lambda: read_manifest(
            stored,
            signature=signature,
            keys=work.account.trusted_keys,
            product_id=session.product_id,
            version_id=session.version_id,
            platform=session.platform,
        )
    )
    agreement.check_plan(plan)
    await work.threads.run(lambda: workspace.keep_manifest(sha256, stored))
    return plan


async def _fetch_manifest(work: _Installation, session: Session, reference: ManifestReference) -> bytes:
    failure: LauncherError | None = None
    for attempt in range(MANIFEST_TRIES):
        if attempt:
            await asyncio.sleep(work.patience.first_delay_seconds * 2 ** (attempt - 1))
            reference = await work.api.manifest(session.id)  # the link may have expired meanwhile
        try:
            stored = bytes(await work.cdn.get(reference.url, size_bytes=reference.size_bytes))
        except DeliveryError as error:
            message = f"the manifest could not be fetched: {error}"
            failure = LauncherError("CDN_ERROR", message, ExitCode.NETWORK)
            continue
        if hashlib.sha256(stored).digest() == _sha256_of(reference):
            return stored
        failure = LauncherError("MANIFEST_INVALID", "the manifest came corrupt", ExitCode.CORRUPT)
    assert failure is not None  # noqa: S101  # there was at least one try
    raise failure


async def _bring(
    work: _Installation, plan: Plan, outdated: Outdated, found: Found, writer: Writer, reporter: Reporter
) -> Removed:
    """Copies what the disk has, fetches what is missing, puts everything in place; returns the outcome for outdated files.

    Until the last chunk is checked and durable nothing of the game is touched: what fails before leaves it as it was.
    """
    ledger = reporter.ledger
    try:
        async with asyncio.TaskGroup() as group:
            reporting = group.create_task(reporter.run())
            work.progress.phase = Phase.DOWNLOADING
            lacking_bytes = plan.total_bytes - work.progress.done_bytes
            await work.threads.run(lambda: work.workspace.need_bytes(lacking_bytes, len(plan.files)))
            ledger.chunks_reused(
                await work.threads.run(lambda: reuse(work.workspace, plan, work.previous, found, writer, work.stop))
            )
            await _patch(work, plan, found, writer, reporter)
            missing = missing_chunks(plan, found)
            await Pipeline(
                found=found,
                missing=missing,
                paths={index: file.path for index, file in plan.files.items()},
                ledger=ledger,
                links=LinkCache(
                    work.api, reporter.session.id, missing, batch_links=_batch_links(missing, work.limiter)
                ),
                cdn=work.cdn,
                writer=writer,
                threads=work.threads,
                may_fetch=reporter.may_fetch,
                look=reporter.look,
                parallel=work.request.parallel,
                patience=work.patience,
            ).run()
            work.progress.phase = Phase.INSTALLING
            removed = await work.threads.run(lambda: _put_in_place(work, plan, outdated, found, writer))
            reporting.cancel()
    except BaseExceptionGroup as group_of_failures:
        failure = first_failure(group_of_failures)
        if isinstance(failure, LauncherError) and failure.code in _ITEM_CODES:
            await reporter.give_up(failure)
        raise
    ledger.all_in_place()
    return removed


async def _patch(work: _Installation, plan: Plan, found: Found, writer: Writer, reporter: Reporter) -> None:
    """Build the files that the server has patches for, as far as the patches fit the files in the folder."""
    session = reporter.session
    if session.from_version_id is None or session.is_repair or not work.previous:
        return
    offers = await offers_of(work.api, session.id, plan, found)
    jobs = choose(plan, work.previous, offers) if offers else ()
    if jobs:
        await Patcher(
            api=work.api,
            session_id=session.id,
            plan=plan,
            found=found,
            jobs=jobs,
            workspace=work.workspace,
            writer=writer,
            ledger=reporter.ledger,
            cdn=work.cdn,
            threads=work.threads,
            may_fetch=reporter.may_fetch,
            look=reporter.look,
        ).run()


def _put_in_place(work: _Installation, plan: Plan, outdated: Outdated, found: Found, writer: Writer) -> Removed:
    writer.sync()
    to_place = {file.path for file in plan.files.values() if file.index not in found.in_place}
    to_place |= {link.path for link in plan.links}
    ownership = recognise(
        work.workspace,
        to_place | outdated.leaves,
        (*work.previous, plan),
        work.stop,
        given_up=to_place if work.request.may_overwrite else (),
    )
    work.workspace.note_incoming(plan)
    placement = Placement(work.workspace, plan, outdated, ownership)
    count = placement.place(found.in_place)
    work.workspace.note_installed(plan)
    return Removed(count, placement.left)


def _batch_links(missing: Sequence[PlannedChunk], limiter: Limiter | None) -> int:
    if limiter is None or not missing:
        return MAX_LINK_IDS
    mean_bytes = sum(chunk.stored_size_bytes for chunk in missing) / len(missing)
    return max(MIN_BATCH_LINKS, min(MAX_LINK_IDS, int(limiter.rate_bytes * LINKS_HORIZON_SECONDS / mean_bytes)))


def _named(error: BaseException) -> BaseException:
    """Return the failure to show."""
    if isinstance(error, BaseExceptionGroup):
        error = first_failure(error)
    if isinstance(error, ManifestInvalid | ManifestSignatureInvalid):
        message = f"the manifest was refused: {error.description}"
        return LauncherError(error.reason, message, ExitCode.CORRUPT)
    return error


def _check_keys(account: Account) -> None:
    """Check that there are pinned keys, before anything is started: without them no manifest can be trusted."""
    try:
        keys = parse_public_keys(account.trusted_keys)
    except ValueError as error:
        message = f"the trusted manifest keys are not right: {error}"
        raise LauncherError("NO_TRUSTED_KEYS", message, ExitCode.USAGE) from None
    if not keys:
        message = (
            "no manifest key is trusted: run `samovar login --trust-keys key_id=base64` or set MANIFEST_PUBLIC_KEYS"
        )
        raise LauncherError("NO_TRUSTED_KEYS", message, ExitCode.USAGE)


def _sha256_of(reference: ManifestReference) -> bytes:
    try:
        sha256 = bytes.fromhex(reference.sha256)
    except ValueError:
        sha256 = b""
    if len(sha256) != hashlib.sha256().digest_size or not 0 < reference.size_bytes <= MAX_STORED_BYTES:
        message = "the server's reference to the manifest makes no sense"
        raise LauncherError("MANIFEST_INVALID", message, ExitCode.CORRUPT)
    return sha256


async def _let_go(work: _Installation, failure: BaseException) -> None:
    """Give back the slot after any failure: other downloads go on, and the next run resumes the session."""
    code = failure.code if isinstance(failure, LauncherError) else ""
    if code in _ENDING_CODES:
        await _end_session(work)
    elif code not in _SETTLED_CODES:
        await _give_slot_back(work)


async def _give_slot_back(work: _Installation) -> None:
    """Pauses the session, so that the user's other downloads go on; if that fails now, the next run finds it as it is."""
    if work.session is not None:
        with suppress(LauncherError, TimeoutError):
            async with asyncio.timeout(FAREWELL_SECONDS):
                await work.api.pause(work.session.id)


async def _end_session(work: _Installation) -> None:
    """Cancels a session that can never go on."""
    if work.session is not None:
        with suppress(LauncherError, TimeoutError):
            async with asyncio.timeout(FAREWELL_SECONDS):
                await work.api.cancel(work.session.id)
