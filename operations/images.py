"""`./taskw images`: builds the Dockerfile's targets with podman, buildah or docker, over a base from a registry or, where none can
be reached, over one that debootstrap makes. Needs no daemon with the first two.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from depot.terminal import say

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = ("gateway", "library", "download", "operations")
BUILDERS = ("podman", "buildah", "docker")
LOCAL_BASE = "localhost/samovar-base:bookworm"
SUITE = "bookworm"
PACKAGES = "python3,python3-venv,ca-certificates"
BUILD_TIMEOUT_SECONDS = 1_800
EPOCH = "0"
"""The time of every file and layer, so that the same sources make the same image."""


class ImagesError(Exception):
    """An image cannot be built here; the text says why in one line."""


def find_builder() -> str:
    """The first builder that is installed.

    Raises:
        ImagesError: there is none.
    """
    found = next((name for name in BUILDERS if shutil.which(name)), None)
    if found is None:
        raise ImagesError("podman, buildah or docker is needed (on Debian: apt install podman)")
    return found


def has_image(builder: str, name: str) -> bool:
    """Tell if the image is on this machine."""
    words = ["inspect", "--type", "image", name] if builder != "docker" else ["image", "inspect", name]
    return subprocess.run([builder, *words], capture_output=True, check=False).returncode == 0  # noqa: S603


def make_base(builder: str) -> str:
    """Make the base by debootstrap unless it is there, and return its name.

    Raises:
        ImagesError: debootstrap is missing or failed.
    """
    if has_image(builder, LOCAL_BASE):
        return LOCAL_BASE
    if not shutil.which("debootstrap"):
        raise ImagesError("debootstrap is needed (on Debian: apt install debootstrap), and root")
    with tempfile.TemporaryDirectory(prefix="samovar-base-", dir="/var/tmp") as folder:
        root = Path(folder, "root")
        _run(["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(root)])
        shutil.rmtree(root / "var" / "cache" / "apt", ignore_errors=True)
        import_base(builder, root)
    return LOCAL_BASE


def import_base(builder: str, root: Path) -> None:
    """Make the base image of a folder that debootstrap filled.

    Raises:
        ImagesError: the builder refused it.
    """
    with tempfile.TemporaryDirectory(prefix="samovar-base-", dir="/var/tmp") as folder:
        context = Path(folder)
        _run(["tar", "-C", str(root), "--numeric-owner", "--exclude=./dev/*", "-cf", str(context / "root.tar"), "."])
        (context / "Dockerfile").write_text("FROM scratch\nADD root.tar /\n")
        _run([*build_words(builder), "-t", LOCAL_BASE, str(context)])


def build_words(builder: str) -> list[str]:
    """Return the builder's build command: without a runtime of its own if possible, so that it works inside containers too."""
    if builder == "docker":
        return ["docker", "build", "--network", "host"]
    words = ["podman", "build"] if builder == "podman" else ["buildah", "build"]
    return [*words, "--isolation", "chroot", "--format", "docker", "--timestamp", EPOCH, "--layers"]


def build(builder: str, base: str, programs: Sequence[str], tag: str) -> None:
    """Build the programs' images as `samovar-PROGRAM:TAG`.

    Raises:
        ImagesError: one of them cannot be built.
    """
    with tempfile.TemporaryDirectory(prefix="samovar-images-") as folder:
        secrets = _secrets(Path(folder))
        for program in programs:
            words = build_words(builder)
            words += [f"--secret=id={name},src={path}" for name, path in secrets.items()]
            words += [f"--build-arg=BASE_IMAGE={base}"] if base else []
            words += ["--target", program, "-t", f"samovar-{program}:{tag}", str(ROOT)]
            _run(words)


def _secrets(folder: Path) -> dict[str, Path]:
    """Return the secrets of the build that pip needs on this machine: its settings, and any unusual certificate authorities."""
    settings = ["[global]", "timeout = 180"]
    found: dict[str, Path] = {}
    authorities = Path(os.environ.get("PIP_CERT", ""))
    if authorities.is_file():
        settings.append("cert = /run/secrets/authorities")
        found["authorities"] = authorities
    if index := os.environ.get("PIP_INDEX_URL"):
        settings.append(f"index-url = {index}")
    found["pip"] = folder / "pip.conf"
    found["pip"].write_text("\n".join(settings) + "\n")
    return found


def _run(words: Sequence[str]) -> None:
    try:
        subprocess.run(words, check=True, timeout=BUILD_TIMEOUT_SECONDS)  # noqa: S603
    except (subprocess.SubprocessError, OSError) as error:
        raise ImagesError(f"{words[0]} {words[1]} failed: {error}"[:500]) from None


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(prog="./taskw images --", description="Build the images")
    parser.add_argument("programs", nargs="*", choices=[[], *PROGRAMS], help="which ones; all if none is named")
    parser.add_argument("--base", default="", help="the base image; default: the Dockerfile's")
    parser.add_argument("--debootstrap", action="store_true", help="make the base by debootstrap")
    parser.add_argument("--tag", default="dev")
    chosen = parser.parse_args()
    try:
        builder = find_builder()
        base = make_base(builder) if chosen.debootstrap else chosen.base
        build(builder, base, chosen.programs or PROGRAMS, chosen.tag)
    except ImagesError as error:
        say(f"images: {error}", err=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
