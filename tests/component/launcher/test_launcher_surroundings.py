"""The launcher as other shells, locales, homes and networks start it: one clear line and an exit code that means something, never a
traceback and nothing left behind.
"""

import asyncio
import base64
import os
import pwd
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from launcher_platform import (
    REPOSITORY,
    assert_installed,
    environment,
    finished,
    make_account,
    make_game,
    run_platform,
    spawn,
)
from typer.testing import CliRunner

from launcher.api import rest
from launcher.api.rest import Rest
from launcher.cdn.cdn import DeliveryError, open_cdn
from launcher.cli.main import app
from launcher.failures import ExitCode, LauncherError
from launcher.settings import proxy_for

KEY = Ed25519PrivateKey.generate()
PROGRAM = (sys.executable, "-m", "launcher")


def launched(
    tmp_path: Path, *words: str, shell: str = "", env: Mapping[str, str | None] | None = None
) -> tuple[int, str, str]:
    """Runs a command; `shell` is what follows it in a shell's line, where one is needed."""
    own: dict[str, str | None] = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'gen'}",
        "HOME": str(tmp_path / "home"),
        "SAMOVAR_GATEWAY": "http://127.0.0.1:9",
        **(env or {}),
    }
    (tmp_path / "home").mkdir(exist_ok=True)
    command = ["sh", "-c", f'exec "$@" {shell}', "sh", *PROGRAM, *words]
    given = {name: value for name, value in own.items() if value is not None}
    done = subprocess.run(command, env=given, cwd=tmp_path, capture_output=True, timeout=60, check=False)
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


def assert_one_line(said: str) -> None:
    """Beside the line in which a sign-in shows where the token would go."""
    said = "".join(line for line in said.splitlines(keepends=True) if not line.startswith("samovar: signing in at "))
    assert said.startswith("samovar: "), said
    assert said.count("\n") == 1, said
    assert "Traceback" not in said


@pytest.mark.parametrize("stream", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
def test_closed_descriptors_are_no_failure(tmp_path: Path, stream: str) -> None:
    code, _, err = launched(tmp_path, "--help", shell=stream)
    assert (code, err) == (0, "")


def test_a_closed_input_gives_no_token(tmp_path: Path) -> None:
    code, _, err = launched(tmp_path, "login", shell="<&-")
    assert code == ExitCode.USAGE
    assert_one_line(err)


@pytest.mark.parametrize("words", [("--help",), ("verify", ".", "--offline", "--json")])
def test_an_output_without_room_is_one_line(tmp_path: Path, words: tuple[str, ...]) -> None:
    code, _, err = launched(tmp_path, *words, shell=">/dev/full")
    if words[0] == "verify":  # its failure comes first, and a second line says that nobody gets it
        assert code in {ExitCode.USAGE, ExitCode.DISK}
        assert "Traceback" not in err
        return
    assert code == ExitCode.DISK
    assert_one_line(err)
    assert "No space left" in err


@pytest.mark.parametrize(
    ("env", "code"),
    [
        ({"SAMOVAR_TOKEN": "a\nb"}, ExitCode.NOT_SIGNED_IN),
        ({"SAMOVAR_TOKEN": "a b"}, ExitCode.NOT_SIGNED_IN),
        ({"SAMOVAR_TOKEN": "\u0442\u043e\u043a\u0435\u043d"}, ExitCode.NOT_SIGNED_IN),
        ({"SAMOVAR_TOKEN": "t", "SAMOVAR_GATEWAY": "http://[::1"}, ExitCode.USAGE),
        ({"SAMOVAR_TOKEN": "t", "SAMOVAR_GATEWAY": "http://h:99999"}, ExitCode.USAGE),
        ({"SAMOVAR_TOKEN": "t", "SAMOVAR_GATEWAY": "http://" + "a" * 300}, ExitCode.USAGE),
        ({"SAMOVAR_TOKEN": "t", "SAMOVAR_GATEWAY": "http://a b"}, ExitCode.USAGE),
        ({"SAMOVAR_TOKEN": "t", "HOME": "/dev/null/none"}, ExitCode.DISK),
        ({"SAMOVAR_TOKEN": "t", "SAMOVAR_CONFIG_HOME": "/proc/none"}, ExitCode.DISK),
        ({"SAMOVAR_TOKEN": "t", "SAMOVAR_CONFIG_HOME": "/" + "n" * 300}, ExitCode.USAGE),
        (
            {"SAMOVAR_TOKEN": "t", "SAMOVAR_GATEWAY": "http://gateway.test", "http_proxy": "socks5://h:1"},
            ExitCode.USAGE,
        ),
    ],
)
def test_surroundings_that_cannot_work_are_one_line(tmp_path: Path, env: Mapping[str, str], code: ExitCode) -> None:
    found, out, err = launched(tmp_path, "library", env=env)
    assert (found, out) == (code, ""), err
    assert_one_line(err)


@pytest.mark.parametrize(("words", "code"), [(["library"], ExitCode.NOT_SIGNED_IN), (["verify", "/"], ExitCode.USAGE)])
def test_an_unknown_user_without_a_home_is_told_what_to_set_and_can_verify(
    monkeypatch: pytest.MonkeyPatch, words: list[str], code: ExitCode
) -> None:
    def unknown(uid: int) -> object:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "XDG_CONFIG_HOME", "SAMOVAR_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    result = CliRunner().invoke(app, words)
    assert result.exit_code == code
    assert_one_line(result.stderr)


def test_a_name_that_no_disk_can_hold_is_one_line(tmp_path: Path) -> None:
    env = {"SAMOVAR_TOKEN": "t", "MANIFEST_PUBLIC_KEYS": ""}
    code, _, err = launched(tmp_path, "verify", "x" * 300, "--offline", env=env)
    assert code == ExitCode.USAGE
    assert "Traceback" not in err


async def test_an_over_long_folder_for_a_game_is_one_line(tmp_path: Path) -> None:
    game = make_game(KEY, {"a": b"a"})
    async with run_platform(game) as platform:
        env = environment(platform, KEY, tmp_path)
        end = await finished(await spawn(env, "install", str(game.product_id), "--to", str(tmp_path / ("x" * 300))))
    assert end.code == ExitCode.DISK
    assert_one_line(end.stderr)


@pytest.mark.parametrize("encoding", ["latin-1", "koi8-r"])
async def test_in_an_8_bit_locale_names_on_the_disk_are_the_published_ones(tmp_path: Path, encoding: str) -> None:
    locale, charmap = {"latin-1": ("en_US", "ISO-8859-1"), "koi8-r": ("ru_RU", "KOI8-R")}[encoding]
    made = tmp_path / "locales" / f"{locale}.{charmap}"
    made.parent.mkdir()
    command = ["localedef", "--no-archive", "-i", locale, "-f", charmap, str(made)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(f"the locale {locale}.{charmap} cannot be made here")
    game = make_game(KEY, {"Сохранения/ключ": b"a", "Grüße": b"b", "日本": b"c"})
    async with run_platform(game) as platform:
        env = environment(platform, KEY, tmp_path) | {"LOCPATH": str(made.parent), "LC_ALL": made.name}
        end = await finished(await spawn(env, "install", str(game.product_id), "--to", str(tmp_path / "game")))
        assert (end.code, end.stderr) == (0, "")
        assert_installed(tmp_path / "game", game)
        (tmp_path / "game" / os.fsdecode(b"s\xe1ve")).write_bytes(b"mine")
        (tmp_path / "game" / "日本").write_bytes(b"x")
        process = await spawn(env, "verify", str(tmp_path / "game"))
        out, err = await process.communicate()
        assert (process.returncode, err) == (ExitCode.CORRUPT, b"")
        assert b"\\u65e5\\u672c" in out
        assert rb"s\udce1ve" in out


async def test_a_file_of_the_users_whose_name_is_no_text_is_listed(tmp_path: Path) -> None:
    game = make_game(KEY, {"a": b"a"})
    async with run_platform(game) as platform:
        env = environment(platform, KEY, tmp_path)
        assert (
            await finished(await spawn(env, "install", str(game.product_id), "--to", str(tmp_path / "g")))
        ).code == 0
        (tmp_path / "g" / os.fsdecode(b"s\xe1ve")).write_bytes(b"mine")
        for options in ((), ("--json",)):
            end = await finished(await spawn(env, "verify", str(tmp_path / "g"), *options))
            assert (end.code, end.stderr) == (0, "")
            assert r"s\udce1ve" in end.stdout


def test_a_full_home_leaves_no_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from launcher import settings  # noqa: PLC0415  beside what it patches

    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(LauncherError) as caught:
        settings.device_id(settings.Environment.read({"SAMOVAR_CONFIG_HOME": str(tmp_path)}))
    assert caught.value.exit_code is ExitCode.DISK
    assert list(tmp_path.iterdir()) == []


async def test_a_silent_gateway_is_reported_while_it_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    heard = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        heard.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with aiohttp.ClientSession() as session:
        asking = asyncio.create_task(Rest(session, url, silence_seconds=0.05).call("GET", "/"))
        said = ""
        async with asyncio.timeout(30):
            await heard.wait()
            while not said:
                await asyncio.sleep(0)
                said = capsys.readouterr().err
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    server.close()
    assert said == f"samovar: the gateway {url} has not answered for 0 s; waiting on\n"
    assert rest.SILENCE_SECONDS == 10.0


class Proxy:
    """An HTTP proxy that leads every name to one server, and remembers what it was asked."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.requests: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.requests.append(head)
        there, onward = await asyncio.open_connection("127.0.0.1", self.port)
        if head.startswith(b"CONNECT "):
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            method, url, rest_of = head.split(b" ", 2)
            onward.write(b" ".join((method, b"/" + url.split(b"/", 3)[3], rest_of)))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_pass_on(reader, onward))
            tasks.create_task(_pass_on(there, writer))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def proxied(body: bytes) -> AsyncIterator[tuple[Proxy, str]]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.read(65536)
        if asked.startswith(b"\x16"):  # a handshake of TLS
            writer.write(b"not TLS")
            writer.close()
            return
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        writer.close()

    origin = await asyncio.start_server(answer, "127.0.0.1", 0)
    proxy = Proxy(origin.sockets[0].getsockname()[1])
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    try:
        yield proxy, f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        origin.close()


async def test_objects_and_documents_come_through_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async with proxied(b'{"data":1}') as (proxy, address):
        monkeypatch.setenv("http_proxy", f"http://me:pa%3Ass@{address}")
        with open_cdn(limiter=None) as cdn:
            assert await cdn.get("http://cdn.test/content/a?x=1", size_bytes=10) == b'{"data":1}'
        async with aiohttp.ClientSession() as session:
            assert await Rest(session, "http://gateway.test").call("GET", "/api") == {"data": 1}
    credentials = b"Basic " + base64.b64encode(b"me:pa:ss")
    first, second = proxy.requests
    assert first.startswith(b"GET http://cdn.test/content/a?x=1 HTTP/1.1\r\nHost: cdn.test\r\n")
    assert second.startswith(b"GET http://gateway.test/api HTTP/1.1\r\n")
    assert all(credentials in request for request in proxy.requests)


async def test_a_secure_cdn_is_reached_by_a_tunnel(monkeypatch: pytest.MonkeyPatch) -> None:
    async with proxied(b"not TLS") as (proxy, address):
        monkeypatch.setenv("https_proxy", address)
        with open_cdn(limiter=None) as cdn, pytest.raises(DeliveryError, match="SSL"):
            await cdn.get("https://cdn.test/a", size_bytes=1)
    assert proxy.requests[0].startswith(b"CONNECT cdn.test:443 HTTP/1.1\r\nHost: cdn.test:443\r\n")


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://gateway.test/x", "http://p:1"),
        ("https://gateway.test/x", None),
        ("http://in.house/x", None),
        ("http://sub.in.house:8080/x", None),
        ("http://127.0.0.1:8080/x", None),
        ("http://[::1]:8080/x", None),
        ("http://localhost/x", None),
    ],
)
def test_which_addresses_have_a_proxy(monkeypatch: pytest.MonkeyPatch, url: str, proxy: str | None) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "p:1")
    monkeypatch.setenv("no_proxy", "in.house")
    assert proxy_for(url) == proxy


async def test_the_token_is_not_overruled_by_a_netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text("machine gateway.test login somebody password else\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    game = make_game(KEY, {"a": b"a"})
    async with run_platform(game) as platform, proxied(b"{}") as (proxy, address):
        monkeypatch.setenv("http_proxy", address)
        owner = make_account(platform, KEY)
        object.__setattr__(owner, "gateway_url", "http://gateway.test")
        async with rest.open_rest(owner) as opened:
            await opened.call("GET", "/api")
    assert f"Authorization: Bearer {owner.token}".encode() in proxy.requests[0]
