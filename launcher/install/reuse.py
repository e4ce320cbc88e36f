"""Chunks that lie on the disk already, in files of the version that is installed or of a damaged tree: found by what the manifests
say, believed only when their bytes hash right, and copied into the staged files. Used by launcher.install.installation; blocks.
What neither lies here nor comes by a patch (launcher.install.patching) is fetched.
"""

import hashlib
import os
import threading
from collections.abc import Sequence

from launcher.disk.folder import Walker
from launcher.disk.plan import Plan, PlannedChunk, PlannedFile
from launcher.disk.scan import Found, check_stopped
from launcher.disk.workspace import Workspace
from launcher.disk.writer import Writer
from launcher.install.pipeline import missing_chunks


def reuse(
    workspace: Workspace, plan: Plan, previous: Sequence[Plan], found: Found, writer: Writer, stop: threading.Event
) -> Sequence[PlannedChunk]:
    """Copies every missing chunk that the tree in place holds, notes it in `found`, and returns these chunks with the places that
    they were written to. Each source file is read once, only where it should hold something that is missing.

    Raises:
        LauncherError: the disk has no room or refuses to write.
    """
    missing = {chunk.sha256: chunk for chunk in missing_chunks(plan, found)}
    reused: list[PlannedChunk] = []
    walker = Walker(workspace.root)
    try:
        # The plan's own places count too: of a damaged file most chunks are right.
        for tree in (*previous, plan):
            for file in tree.files.values():
                if not missing:
                    return reused
                check_stopped(stop)
                reused += _take_from(walker, file, missing, writer, stop)
    finally:
        walker.close()
        for chunk in reused:
            for place in chunk.places:
                found.chunks.setdefault(place.file, set()).add(place.chunk)
    return reused


def _take_from(
    walker: Walker, file: PlannedFile, missing: dict[bytes, PlannedChunk], writer: Writer, stop: threading.Event
) -> Sequence[PlannedChunk]:
    wanted = [ref for ref in file.chunks if ref.sha256 in missing]
    if not wanted:
        return ()
    try:
        parent, name = walker.parent_of(file.path)
        if parent is None:
            return ()
        descriptor = parent.open_file(name, os.O_RDONLY)
    except OSError:
        return ()  # missing or changed: it is no source
    taken = []
    try:
        for ref in wanted:
            check_stopped(stop)
            if ref.sha256 not in missing:
                continue  # twice in this file
            try:
                data = os.pread(descriptor, ref.size_bytes, ref.offset)
            except OSError:
                continue  # the disk cannot read it there: it is fetched
            if len(data) == ref.size_bytes and hashlib.sha256(data).digest() == ref.sha256:
                chunk = missing.pop(ref.sha256)
                writer.keep(chunk, data)
                taken.append(chunk)
    finally:
        os.close(descriptor)
    return taken
