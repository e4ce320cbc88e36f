"""The launcher updates itself over a real HTTP server from metadata that a publisher signed; every way to cheat it fails by name
and leaves the installed version running.
"""

import gzip
import io
import json
import random
import shutil
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

import pytest

from launcher.failures import LauncherError
from launcher.self_update.metadata import Believer
from launcher.self_update.updating import DESCRIPTION, Advice, Client, read_client, target_path, update
from launcher.self_update.versions import Versions
from operations.client_repository import Repository


class Server(SimpleHTTPRequestHandler):
    """The publisher's folder; `endless` names what never ends."""

    endless: str = ""

    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.endless and self.path.endswith(self.endless):
            self.send_response(200)
            self.end_headers()
            self.close_connection = True
            try:
                while True:
                    self.wfile.write(bytes(65536))
            except OSError:
                return
        super().do_GET()


def release(version: str, root: bytes, *, says: str | None = None, more: dict[str, bytes] | None = None) -> bytes:
    script = f"#!/bin/sh\necho samovar {says or version}\n".encode()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        files = {"bin/samovar": script, "trust/root.json": root, **(more or {})}
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o755
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


class World:
    """A publisher, a server, and one installation at 1.0."""

    def __init__(self, folder: Path, url: str, handler: type[Server]) -> None:
        self.handler, self.url = handler, url
        self.published = folder / "published"
        self.repository = Repository(self.published)
        self.root = self.repository.create()
        home = folder / "client"
        (home / "versions").mkdir(parents=True)
        (home / "current").symlink_to("versions/1.0")
        with tarfile.open(fileobj=io.BytesIO(release("1.0", self.root)), mode="r:gz") as archive:
            archive.extractall(home / "versions/1.0", filter="data")
        self.client = Client(home, uuid4(), "linux", "x86_64", "stable", "", url)
        self.publish("1.0")

    def publish(self, version: str, **others) -> bytes:
        content = release(version, self.root, **others)
        self.repository.add(target_path(self.client, "stable", version), content)
        return content

    def believer(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Believer:
        return Believer(self.client.root / "metadata", self.url, self.root, now=now)

    def update(self, version: str, believer: Believer | None = None) -> str:
        return update(self.client, Advice(version, True, False), channel="stable", believer=believer)

    def running(self) -> str:
        program = self.client.root / "current/bin/samovar"
        return subprocess.run([program], capture_output=True, text=True, check=True).stdout.strip()

    def refused(self, version: str, believer: Believer | None = None, *, runs: str = "1.0") -> str:
        with pytest.raises(LauncherError) as caught:
            self.update(version, believer)
        assert self.running() == f"samovar {runs}", "it fails closed, and what was installed goes on working"
        assert {path.name for path in (self.client.root / "versions").iterdir()} >= {runs}
        return caught.value.code


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    handler = type("Handler", (Server,), {})
    (tmp_path / "published").mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=tmp_path / "published"))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield World(tmp_path, f"http://127.0.0.1:{server.server_port}", handler)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def copy_of(world: World, name: str) -> Path:
    kept = world.published.with_name(name)
    shutil.copytree(world.published / "metadata", kept)
    return kept


def serve(world: World, kept: Path, pattern: str = "*.json") -> None:
    for path in kept.glob(pattern):
        shutil.copy(path, world.published / "metadata" / path.name)


def test_a_new_version_is_checked_unpacked_proven_and_the_one_before_is_kept(world: World):
    for version in ("1.1", "1.2", "2.0"):
        world.publish(version)
        assert world.update(version) == version
        assert world.running() == f"samovar {version}"
    assert {path.name for path in (world.client.root / "versions").iterdir()} == {"1.2", "2.0"}
    assert world.update("2.0.0") == "2.0", "there is nothing to do"


def test_a_version_that_does_not_run_is_not_switched_to(world: World):
    world.publish("1.1", says="something else")
    assert world.refused("1.1") == "CLIENT_RELEASE_DOES_NOT_RUN"
    world.publish("1.2")
    assert world.update("1.2") == "1.2"


def test_freeze_expired_metadata(world: World):
    past = Repository(world.published, now=lambda: datetime.now(UTC) - timedelta(days=10))
    world.publish("1.1")
    past.renew()
    assert world.refused("1.1") == "CLIENT_METADATA_EXPIRED"
    world.repository.renew()
    assert world.update("1.1") == "1.1"


def test_rollback_to_older_metadata(world: World):
    world.publish("1.1")
    old = copy_of(world, "old")
    world.publish("1.2")
    assert world.update("1.1") == "1.1"
    serve(world, old)
    assert world.refused("1.2", runs="1.1") == "CLIENT_METADATA_ROLLED_BACK"


def test_mix_and_match_of_metadata(world: World):
    world.publish("1.1")
    old = world.published / "metadata/2.snapshot.json"
    newest = max(world.published.glob("metadata/*.snapshot.json"), key=lambda path: int(path.name.split(".")[0]))
    assert newest.name != old.name
    shutil.copy(old, newest)
    assert world.refused("1.1") == "CLIENT_METADATA_MIXED"


@pytest.mark.parametrize("endless", ["timestamp.json", ".snapshot.json", "samovar-1.1.tar.gz"])
def test_endless_data(world: World, endless: str):
    world.publish("1.1")
    world.handler.endless = endless
    assert world.refused("1.1") == "CLIENT_DATA_ENDLESS"
    world.handler.endless = ""
    assert world.update("1.1") == "1.1"


def test_a_revoked_key_counts_no_more(world: World):
    world.publish("1.1")
    stolen = copy_of(world, "stolen")
    world.repository.replace_key("timestamp")
    shutil.copy(stolen / "timestamp.json", world.published / "metadata/timestamp.json")
    assert world.refused("1.1") == "CLIENT_METADATA_UNSIGNED"


@pytest.mark.parametrize("role", ["root", "targets", "snapshot", "timestamp"])
def test_keys_are_replaced_without_anybody_being_left_behind(world: World, role: str):
    world.publish("1.1")
    world.repository.replace_key(role)
    world.publish("1.2")
    assert world.update("1.2") == "1.2"


def test_a_root_with_one_signature_of_two_changes_nothing(world: World):
    world.publish("1.1")
    world.repository.replace_key("root")
    path = world.published / "metadata/2.root.json"
    document = json.loads(path.read_bytes())
    document["signatures"] = document["signatures"][:1]
    path.write_text(json.dumps(document))
    assert world.refused("1.1") == "CLIENT_METADATA_UNSIGNED"


def test_other_bytes_than_were_signed(world: World):
    world.publish("1.1")
    (target,) = world.published.glob("targets/*/*/*samovar-1.1.tar.gz")
    content = bytearray(target.read_bytes())
    content[-1] ^= 1
    target.write_bytes(content)
    assert world.refused("1.1") == "CLIENT_TARGET_CORRUPT"


def test_a_file_swapped_between_check_and_install(world: World):
    world.publish("1.1")
    evil = release("1.1", world.root, more={"evil": b"x"})

    class Swapped(Believer):
        def fetch(self, target, to):
            super().fetch(target, to)
            to.unlink()
            to.write_bytes(evil)

    swapped = Swapped(world.client.root / "metadata", world.url, world.root)
    assert world.refused("1.1", swapped) == "CLIENT_TARGET_CHANGED"


def test_a_clock_that_was_set_back(world: World):
    world.publish("1.1")
    assert world.update("1.1", world.believer()) == "1.1"
    world.publish("1.2")
    back = world.believer(lambda: datetime.now(UTC) - timedelta(days=30))
    assert world.refused("1.2", back, runs="1.1") == "CLIENT_CLOCK_WRONG"
    assert world.update("1.2") == "1.2"


def test_the_way_down_must_be_signed(world: World):
    world.publish("2.0")
    world.update("2.0")
    assert world.refused("1.0", runs="2.0") == "CLIENT_DOWNGRADE_REFUSED"
    world.repository.mark(target_path(world.client, "stable", "1.0"), "2.0")
    assert world.update("1.0") == "1.0"
    assert world.running() == "samovar 1.0"


def test_a_version_that_nobody_signed(world: World):
    assert world.refused("1.1") == "CLIENT_TARGET_UNKNOWN"
    assert world.refused("../../1.1") == "CLIENT_VERSION_INVALID"


def test_a_signed_archive_still_cannot_write_outside(world: World):
    world.publish("1.1", more={"../../../outside": b"x"})
    assert world.refused("1.1") == "CLIENT_RELEASE_INVALID"
    assert not list(world.client.root.parent.rglob("outside"))


def test_what_is_no_archive_is_no_release(world: World):
    world.repository.add(target_path(world.client, "stable", "1.1"), gzip.compress(b"no archive"))
    assert world.refused("1.1") == "CLIENT_RELEASE_INVALID"


def test_what_was_released_stays_what_it_is(world: World):
    world.publish("1.1")
    path = target_path(world.client, "stable", "1.0")
    world.repository.mark(path, "1.1")
    before = (world.published / "metadata/timestamp.json").read_bytes()
    world.publish("1.0")
    assert (world.published / "metadata/timestamp.json").read_bytes() == before, (
        "again is no change, of the mark neither"
    )
    with pytest.raises(ValueError, match="other content"):
        world.publish("1.1", says="something else")
    assert world.update("1.1") == "1.1"


def test_two_updates_at_once_are_one(world: World):
    world.publish("1.1")
    with Versions(world.client.root).locked():
        assert world.refused("1.1") == "CLIENT_UPDATE_RUNNING"
    assert world.update("1.1") == "1.1"


def test_an_installation_is_recognised_and_a_checkout_is_none(world: World):
    values = {"installation_id": str(uuid4()), "platform": "linux", "arch": "x86_64", "channel": "beta"}
    values |= {"gateway_url": "http://127.0.0.1:1", "repository_url": world.url}
    (world.client.root / DESCRIPTION).write_text(json.dumps(values))
    found = read_client(world.client.root / "versions/1.0/lib/launcher/__init__.py")
    assert found is not None
    assert (found.root, found.channel) == (world.client.root.resolve(), "beta")
    assert read_client(Path(__file__)) is None


KILLED = """
import sys
from pathlib import Path
from uuid import UUID
from launcher.self_update.updating import Advice, Client, update
root, url, version = sys.argv[1:]
client = Client(Path(root), UUID(int=1), "linux", "x86_64", "stable", "", url)
print("begins", flush=True)
update(client, Advice(version, True, False), channel="stable")
"""


def test_killed_at_any_point_one_of_the_two_runs(world: World):
    chance = random.Random(17)
    world.publish("1.1")
    installed, wanted, kills, seconds = "1.0", "1.1", 0, 0.25
    world.repository.mark(target_path(world.client, "stable", "1.0"), "1.1")
    for _ in range(40):
        if kills == 10:
            break
        words = [sys.executable, "-c", KILLED, str(world.client.root), world.url, wanted]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            assert process.stdout is not None
            process.stdout.readline()
            began = time.monotonic()
            try:
                process.wait(timeout=chance.uniform(0.0, seconds))
                seconds = time.monotonic() - began  # how long one takes here
            except subprocess.TimeoutExpired:
                process.kill()
                kills += 1
        runs = world.running()
        assert runs in {f"samovar {installed}", f"samovar {wanted}"}
        if runs == f"samovar {wanted}":
            installed, wanted = wanted, installed
    assert kills == 10
    assert world.update("1.1") == "1.1"
    assert world.running() == "samovar 1.1"
