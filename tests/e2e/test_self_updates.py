"""A release of the launcher from `samovar release add` to the installation that runs it, on the whole platform."""

import asyncio
import io
import json
import os
import subprocess
import tarfile
import uuid
from pathlib import Path
from typing import Any

import aiohttp
from typer.testing import CliRunner

from launcher.cli.main import app
from launcher.self_update.advice import ask
from launcher.self_update.updating import Client, update
from tests.e2e.running import SAMOVAR, Platform


def archive(folder: Path, version: str, root: Path) -> Path:
    path = folder / f"{version}.tar.gz"
    with tarfile.open(path, "w:gz") as packed:
        for name, content in {
            "bin/samovar": f"#!/bin/sh\necho samovar {version}\n".encode(),
            "trust/root.json": root.read_bytes(),
        }.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o755
            packed.addfile(member, io.BytesIO(content))
    return path


async def test_a_release_from_its_publisher_to_the_installation_that_runs_it(
    platform: Platform, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    gateway, keys = platform.ready["gateway_url"], tmp_path / "keys"
    environment = {
        **{name.upper(): str(value) for name, value in platform.private["objects"].items()},
        "SAMOVAR_GATEWAY": gateway,
        "SAMOVAR_TOKEN": platform.ready["admin_token"],
        "LANG": "C.UTF-8",
    }

    def release(*words: str) -> str:
        command = [SAMOVAR, "release", *words]
        done = subprocess.run(
            command, env={**os.environ, **environment}, capture_output=True, text=True, check=False, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    async def off_the_loop(work: Any, *arguments: Any, **named: Any) -> Any:
        return await asyncio.to_thread(work, *arguments, **named)

    line = ("--arch", "arm64", "--channel", "test")
    await off_the_loop(release, "init", "--keys", str(keys))
    root = keys / "metadata/1.root.json"
    home = tmp_path / "client"
    (home / "versions/1.0").mkdir(parents=True)
    (home / "current").symlink_to("versions/1.0")
    with tarfile.open(archive(tmp_path, "1.0", root)) as packed:
        packed.extractall(home / "versions/1.0", filter="data")
    repository_url = f"{platform.ready['sandbox_http_url']}/client-releases"
    client = Client(home, uuid.uuid4(), "linux", "arm64", "test", gateway, repository_url)

    async def brought() -> str:
        installed = (home / "current").readlink().name
        advice = await off_the_loop(ask, client, "test", installed, is_manual=True)
        await off_the_loop(update, client, advice, channel="test")
        return (await off_the_loop(subprocess.check_output, [home / "current/bin/samovar"], text=True)).strip()

    for version in ("1.0", "1.1"):
        await off_the_loop(release, "add", str(archive(tmp_path, version, root)), version, *line, "--keys", str(keys))
    await off_the_loop(release, "promote", "1.0", *line)
    assert await brought() == "samovar 1.0"
    await off_the_loop(release, "promote", "1.1", "--permille", "1", *line)
    assert await brought() == "samovar 1.1"
    await off_the_loop(release, "halt", "1.1", *line)
    assert await brought() == "samovar 1.1", "a halt takes it from nobody"
    await off_the_loop(release, "rollback", "1.0", *line, "--keys", str(keys))
    assert await brought() == "samovar 1.0"

    query = {"platform": "linux", "arch": "arm64", "channel": "test", "version": "1.0"}
    url = f"{gateway}/api/v1/download-client/client-updates"
    async with http.get(url, params=query) as answer:
        assert (answer.status, answer.headers["Cache-Control"]) == (200, "public, max-age=60")
        tag = answer.headers["ETag"]
    async with http.get(url, params=query, headers={"If-None-Match": tag}) as answer:
        assert answer.status == 304
    async with http.get(url, params={**query, "platform": "macos"}) as answer:
        assert answer.status == 404
        assert (await answer.json(content_type=None))["errors"][0]["code"] == "CLIENT_RELEASE_NOT_FOUND"


def test_a_checkout_is_told_its_command(tmp_path: Path) -> None:
    told = CliRunner(env={"SAMOVAR_CONFIG_HOME": str(tmp_path)}).invoke(app, ["self-update", "--json"])
    assert told.exit_code == 0
    assert json.loads(told.stdout) == {"status": "other_installation", "command": "git pull"}
