"""The sandbox as a process of its own, and the command line that works it."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.request import urlopen
from uuid import UUID, uuid4

import grpc
import jwt
import pytest
import typer
from content.v1 import manifest_pb2 as content
from grpc_health.v1 import health_pb2, health_pb2_grpc
from typer.testing import CliRunner, Result

from depot import manifest, signing
from sandbox import cli
from sandbox.devstack.free_port import free_port
from sandbox.ids import product_id_of, version_id_of
from sandbox.peers import keys

NewDatabase = Callable[..., Awaitable[str]]

START_SECONDS = 60
USER = "11111111-1111-4111-8111-111111111111"

studio = typer.Typer()
studio.command("publish")(cli.publish)
studio.add_typer(cli.app, name="sandbox")


def environment(home: Path, **settings: str) -> Mapping[str, str]:
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}
    return {**inherited, "SAMOVAR_HOME": str(home), **settings}


def python(words: Sequence[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sandbox", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=START_SECONDS, check=False)


@pytest.fixture(scope="module")
def home(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A migrated, running sandbox; its folder has the platform.json that the command line reads."""
    root = tmp_path_factory.mktemp("home")
    grpc_port, http_port = free_port(), free_port()
    url = f"http://127.0.0.1:{http_port}"
    settings = environment(
        root,
        DRAIN_SECONDS="1",
        SANDBOX_GRPC_PORT=str(grpc_port),
        SANDBOX_HTTP_PORT=str(http_port),
        SANDBOX_STATE_DIR=str(root / "state"),
        SANDBOX_CLIENT_SECRETS=json.dumps({"sandbox-cli": "secret"}),
        POSTGRES_DSN=asyncio.run(new_database("sandbox")),
        EVENTS_POSTGRES_DSN=asyncio.run(new_database("events")),
        OBJECTS_DIRECTORY=str(root / "objects"),
        OBJECTS_BASE_URL=f"{url}/objects",
        OBJECTS_SIGNING_KEY="objects key",
        CDN_LINK_SECRET_KEY="cdn key",
    )
    facts = {
        "sandbox_grpc_addr": f"127.0.0.1:{grpc_port}",
        "sandbox_http_url": url,
        "auth_token_url": f"{url}/oauth/token",
        "cli_client_secret": "secret",
        "objects": {
            "OBJECTS_DIRECTORY": str(root / "objects"),
            "OBJECTS_BASE_URL": f"{url}/objects",
            "OBJECTS_SIGNING_KEY": "objects key",
        },
        "sandbox_state_dir": str(root / "state"),
    }
    (root / "platform.json").write_text(json.dumps(facts))
    migrated = python(["migrate"], settings)
    assert migrated.returncode == 0, migrated.stderr
    log = (root / "log").open("wb")
    process = subprocess.Popen([sys.executable, "-m", "sandbox"], env=settings, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_until_serving(process, grpc_port, root / "log")
        yield root
        process.terminate()
        assert process.wait(START_SECONDS) == 0, (root / "log").read_text()
        assert "Traceback" not in (root / "log").read_text()
    finally:
        process.kill()
        process.wait()
        log.close()


def wait_until_serving(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        health = health_pb2_grpc.HealthStub(channel)
        while True:
            try:
                answer = health.Check(health_pb2.HealthCheckRequest(), timeout=1, wait_for_ready=True)
            except grpc.RpcError:
                answer = health_pb2.HealthCheckResponse()
            if answer.status == health_pb2.HealthCheckResponse.SERVING:
                return
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the sandbox did not start:\n{log.read_text()}")


@pytest.fixture
def samovar(home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setenv("SAMOVAR_HOME", str(home))

    def run(*words: str, exit_code: int = 0) -> Result:
        result = CliRunner().invoke(studio, words)
        assert result.exit_code == exit_code, result.output
        return result

    return run


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tree" / "bin").mkdir(parents=True)
    (tmp_path / "tree" / "bin" / "game").write_bytes(b"game" * 100_000)
    return tmp_path / "tree"


def test_a_folder_is_published_announced_and_bought(samovar: Callable[..., Result], home: Path, tree: Path) -> None:
    words = ("publish", str(tree), "--product", "game", "--version", "1.0", "--title-ru", "Игра", "--title-en", "Game")
    first = json.loads(samovar(*words, "--json").stdout)
    again = json.loads(samovar(*words, "--json").stdout)
    product_id = product_id_of("game")
    version_id = version_id_of(product_id, "1.0", "linux")
    assert (first["product_id"], first["version_id"]) == (str(product_id), str(version_id))
    assert (first["files"], first["total_size_bytes"], first["was_published"]) == (1, 400_000, False)
    assert (again["new_chunks"], again["was_published"]) == (0, True)
    assert again["manifest_sha256"] == first["manifest_sha256"]

    facts = json.loads((home / "platform.json").read_text())
    url = f"{facts['sandbox_http_url']}/manifests/{product_id}/{version_id}.manifest"
    with urlopen(url) as stored, urlopen(url + ".sig") as signature:
        data, signed = stored.read(), content.ManifestSignature.FromString(signature.read())
    signing.verify(data, signed, signing.parse_public_keys(keys.manifest_public_keys(home / "state")))
    manifest.check(manifest.parse(data), product_id=product_id, version_id=version_id, platform=content.PLATFORM_LINUX)

    listed = json.loads(samovar("sandbox", "products", "--json").stdout)
    (product,) = [one for one in listed if one["product_id"] == str(product_id)]
    assert (product["title_ru"], product["title_en"]) == ("Игра", "Game")
    assert product["versions"] == [{"version_id": str(version_id), "version_name": "1.0"}]
    assert "Game / Игра  (1.0)" in samovar("sandbox", "products").stdout

    order_id = samovar("sandbox", "buy", str(uuid4()), "game").stdout.strip()
    assert UUID(order_id)
    assert UUID(samovar("sandbox", "refund", order_id).stdout.strip())
    assert UUID(samovar("sandbox", "price", "game", "--discount", "30", "--seconds", "60").stdout.strip())
    user = str(uuid4())
    assert samovar("sandbox", "delete-user", user).stdout.strip() == f"deleted {user}"


def test_publishing_says_what_it_did(samovar: Callable[..., Result], tree: Path) -> None:
    said = samovar("publish", str(tree), "--product", "other", "--version", "1.0").stdout
    assert "published other 1.0 for linux: 1 files, 0.4 MB" in said
    assert str(product_id_of("other")) in said


def test_a_refused_file_is_one_line_and_an_exit_code(samovar: Callable[..., Result], tree: Path) -> None:
    (tree / "bin" / "out").symlink_to("../../secret")
    result = samovar("publish", str(tree), "--product", "bad", "--version", "1.0", exit_code=1)
    assert result.stderr == ("samovar publish: the path 'bin/out' is a link that leaves the tree: '../../secret'\n")
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("words", "exit_code", "text"),
    [
        (("sandbox", "buy", USER, str(uuid4())), 4, "samovar sandbox buy: "),
        (("sandbox", "refund", str(uuid4())), 2, "there is no order"),
        (("sandbox", "buy", "not-a-uuid", "game"), 2, "USER"),
        (("sandbox", "token"), 2, "--user or --service"),
        (("sandbox", "token", "--service", "gateway"), 2, "--audience"),
        (("publish", "/nowhere", "--product", "x", "--version", "1"), 1, "'/nowhere' is not a folder"),
        (("publish", ".", "--product", "x", "--version", ""), 2, "--version"),
    ],
)
def test_mistakes_are_said_in_one_line(
    samovar: Callable[..., Result], words: Sequence[str], exit_code: int, text: str
) -> None:
    result = samovar(*words, exit_code=exit_code)
    assert text in result.stderr
    assert "Traceback" not in result.output


def test_tokens_are_printed_for_users_and_programs(samovar: Callable[..., Result]) -> None:
    options = {"verify_signature": False}
    user = samovar(
        *("sandbox", "token", "--user", USER, "--roles", "user, admin", "--permissions", "channel:beta"),
        *("--ttl-seconds", "60"),
    ).stdout.strip()
    claims = jwt.decode(user, options=options)
    assert (claims["sub"], claims["roles"], claims["permissions"]) == (USER, ["user", "admin"], ["channel:beta"])
    assert claims["exp"] - claims["iat"] == 60
    service = samovar("sandbox", "token", "--service", "gateway", "--audience", "library-service").stdout.strip()
    claims = jwt.decode(service, options=options)
    assert (claims["sub"], claims["aud"]) == ("service:gateway", "library-service")


def test_a_product_is_given_achievements_whose_ids_stay(samovar: Callable[..., Result], tree: Path) -> None:
    samovar("publish", str(tree), "--product", "prizes", "--version", "1.0")
    words = ("sandbox", "achievements", "prizes", "First", "Long=10", "--hidden", "Secret")
    told = samovar(*words).stdout
    assert [line.split("  ")[1] for line in told.splitlines()] == ["First", "Long", "Secret"]
    assert samovar(*words).stdout == told
    for wrong in ((), ("=5",), ("Long=0",), ("Long=ten",)):
        assert "NAME" in samovar("sandbox", "achievements", "prizes", *wrong, exit_code=2).stderr.upper()


def test_without_a_platform_the_command_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tree: Path
) -> None:
    monkeypatch.setenv("SAMOVAR_HOME", str(tmp_path / "nothing"))
    result = CliRunner().invoke(studio, ["sandbox", "products"])
    assert result.exit_code == 5
    assert "no platform is running here" in result.stderr
    gone = {
        "sandbox_grpc_addr": f"127.0.0.1:{free_port()}",
        "auth_token_url": f"http://127.0.0.1:{free_port()}/oauth/token",
        "cli_client_secret": "x",
    }
    (tmp_path / "nothing").mkdir()
    (tmp_path / "nothing" / "platform.json").write_text(json.dumps(gone))
    result = CliRunner().invoke(studio, ["sandbox", "products"])
    assert result.exit_code == 5
    assert "is `samovar up` running?" in result.stderr


def test_bad_settings_are_named_one_a_line(tmp_path: Path) -> None:
    started = python([], environment(tmp_path, SANDBOX_GRPC_PORT="many", POSTGRES_DSN="postgresql://localhost/x"))
    assert started.returncode == 2
    named = {line.partition(":")[0] for line in started.stderr.splitlines()}
    assert {"SANDBOX_GRPC_PORT", "SANDBOX_STATE_DIR", "CDN_LINK_SECRET_KEY"} <= named
    assert "Traceback" not in started.stderr


def test_an_unknown_command_is_refused(tmp_path: Path) -> None:
    started = python(["dance"], environment(tmp_path))
    assert (started.returncode, started.stderr) == (2, "usage: python -m sandbox [serve|migrate]\n")
