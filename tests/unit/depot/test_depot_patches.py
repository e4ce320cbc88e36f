"""Patches: bound to two exact files, applied with checks before and after, harmless whatever comes in their place."""

import hashlib
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depot import patches
from depot.patch_worker import REFUSED
from depot.patches import ALGORITHM, PatchBinding, PatchInvalid

MUTATIONS = 10_000
"""Both tests of mutated patches take so many."""
WORKER = (sys.executable, "-m", "depot.patch_worker")


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def bound(base: bytes, new: bytes, stored: bytes) -> PatchBinding:
    return PatchBinding(ALGORITHM, sha256(base), len(base), sha256(new), len(new), sha256(stored), len(stored))


def pair() -> tuple[bytes, bytes]:
    """Two versions of a file with moved, changed and new parts."""
    dice = random.Random(7)
    base = dice.randbytes(20_000) + b"samovar" * 1000
    new = bytearray(base[9000:] + b"inserted" * 20 + dice.randbytes(500) + base[:7000])
    for position in range(0, len(new), 701):
        new[position] ^= 5
    return base, bytes(new)


def mutated(stored: bytes, dice: random.Random) -> bytes:
    """One bit, a cut, an insertion, or some bytes of the head."""
    found = bytearray(stored)
    way = dice.randrange(4)
    if way == 0:
        found[dice.randrange(len(found))] ^= 1 << dice.randrange(8)
    elif way == 1:
        del found[dice.randrange(len(found)) :]
    elif way == 2:
        position = dice.randrange(len(found))
        found[position:position] = dice.randbytes(dice.randrange(1, 9))
    else:
        for _ in range(5):
            found[dice.randrange(80)] = dice.randrange(256)
    return bytes(found)


@given(st.binary(min_size=1, max_size=4000), st.binary(min_size=1, max_size=4000))
def test_a_patch_gives_the_new_file_from_the_old(base: bytes, new: bytes) -> None:
    stored = patches.build(base, new)
    assert patches.apply(base, stored, bound(base, new, stored)) == new


@given(st.binary(min_size=200, max_size=4000), st.data())
def test_an_edited_file_is_patched_by_less_than_itself(base: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(base)))
    new = base[:at] + b"a few new bytes" + base[at:]
    stored = patches.build(base, new)
    assert patches.apply(base, stored, bound(base, new, stored)) == new


def test_a_mutated_patch_is_not_even_parsed() -> None:
    base, new = pair()
    stored = patches.build(base, new)
    binding, dice = bound(base, new, stored), random.Random(1)
    for _ in range(MUTATIONS):
        wrong = mutated(stored, dice)
        if wrong != stored:
            with pytest.raises(PatchInvalid, match="not the one that was built"):
                patches.apply(base, wrong, binding)


def test_a_mutated_patch_that_a_service_vouches_for_gives_the_file_or_nothing() -> None:
    """The last wall: the service itself names the wrong bytes."""
    base, new = pair()
    stored = patches.build(base, new)
    binding, dice, refused = bound(base, new, stored), random.Random(2), 0
    for _ in range(MUTATIONS):
        wrong = mutated(stored, dice)
        try:
            result = patches.apply(base, wrong, replace(binding, sha256=sha256(wrong), size_bytes=len(wrong)))
        except PatchInvalid:
            refused += 1
        else:
            assert result == new
    assert refused > MUTATIONS * 0.9


def test_any_other_base_is_refused_one_byte_suffices() -> None:
    base, new = pair()
    stored = patches.build(base, new)
    other = bytearray(base)
    other[5000] ^= 1
    for wrong in (bytes(other), base[:-1], b""):
        with pytest.raises(PatchInvalid, match="not the one that the patch was made from"):
            patches.apply(wrong, stored, bound(base, new, stored))


def test_a_result_that_is_not_the_manifests_file_is_refused() -> None:
    base, new = pair()
    stored = patches.build(base, new)
    with pytest.raises(PatchInvalid, match="another file than it should"):
        patches.apply(base, stored, replace(bound(base, new, stored), to_sha256=sha256(b"what was published")))


def test_a_patch_that_claims_a_huge_result_is_refused_before_anything_is_allocated() -> None:
    base, new = pair()
    stored = patches.build(base, new)
    huge = patches._MAGIC + b"\xff" * 8 + b"\x7f" + stored[len(patches._MAGIC) + 3 :]
    binding = replace(bound(base, new, huge), to_size_bytes=len(new))
    with pytest.raises(PatchInvalid, match="other sizes"):
        patches.apply(base, huge, binding)
    endless = patches._MAGIC + b"\xff" * 40
    with pytest.raises(PatchInvalid, match="no end"):
        patches.apply(base, endless, bound(base, new, endless))


@pytest.mark.parametrize(
    "change",
    [
        {"algorithm": "bsdiff"},
        {"from_sha256": b"short"},
        {"to_size_bytes": patches.MAX_PATCHED_FILE_BYTES + 1},
        {"from_size_bytes": 0},
        {"size_bytes": patches.MAX_PATCH_BYTES + 1},
        {"size_bytes": 3},
    ],
)
def test_what_is_outside_the_format_is_refused_before_it_is_fetched(change: dict[str, object]) -> None:
    binding = bound(b"a", b"b", patches.build(b"a", b"b"))
    patches.check_binding(binding)
    with pytest.raises(PatchInvalid):
        patches.check_binding(replace(binding, **change))  # type: ignore[arg-type]


def test_files_outside_the_limits_are_not_patched() -> None:
    assert not patches.may_be_patched(patches.MAX_PATCHED_FILE_BYTES + 1, 1)
    for base, new in ((b"", b"x"), (b"x", b"")):
        with pytest.raises(PatchInvalid):
            patches.build(base, new)


def test_a_patch_lies_under_staging_by_its_own_hash() -> None:
    assert patches.patch_key("p", b"\xab" * 32) == f"staging/p/patches/ab/{'ab' * 32}"


def run_worker(
    folder: Path, base: bytes, new: bytes, *, memory_bytes: int = 1 << 30, seconds: int = 60
) -> tuple[int, str]:
    (folder / "base").write_bytes(base)
    (folder / "new").write_bytes(new)
    names = [str(folder / name) for name in ("base", "new", "patch")]
    done = subprocess.run(
        [*WORKER, *names, str(memory_bytes), str(seconds)], capture_output=True, text=True, timeout=120, check=False
    )
    return done.returncode, done.stderr


def test_the_worker_builds_and_tries_a_patch(tmp_path: Path) -> None:
    base, new = pair()
    assert run_worker(tmp_path, base, new) == (0, "")
    stored = (tmp_path / "patch").read_bytes()
    assert patches.apply(base, stored, bound(base, new, stored)) == new
    assert len(stored) < len(new) / 4


def test_the_worker_ends_at_its_memory_with_a_reason(tmp_path: Path) -> None:
    base = random.Random(3).randbytes(40 << 20)
    code, said = run_worker(tmp_path, base, base[1:] + b"x", memory_bytes=200 << 20)
    assert code == REFUSED
    assert "memory" in said or "no patch" in said
