"""Compares a game's folder with the manifest of what is installed there, by hash. Changes nothing. Used by the commands
`verify` and `repair`; blocks: runs in a thread.
"""

import os
import stat
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from launcher.folder import Folder, Walker, disk_failure, is_obstruction
from launcher.plan import STAGING_FOLDER, Plan, PlannedFile
from launcher.survey import check_stopped, hash_descriptor
from launcher.workspace import Workspace

MAX_EXTRA = 10_000
"""Entries of the user's own that are listed."""


class IssueKind(StrEnum):
    """What is wrong with a path (contract section 3, verifications)."""

    CORRUPTED = "corrupted"
    MISSING = "missing"
    EXTRA = "extra"
    WRONG_MODE = "wrong_mode"


@dataclass(frozen=True, slots=True)
class Issue:
    """One path that is not as published."""

    path: str
    kind: IssueKind


def verify_tree(workspace: Workspace, plan: Plan, stop: threading.Event) -> Sequence[Issue]:
    """Everything that is not as the plan says, ordered by path. What the user added is `extra`, which is no damage."""
    walker = Walker(workspace.root)
    issues = []
    try:
        for file in plan.files.values():
            check_stopped(stop)
            kind = _at(walker, file.path, partial(_file_issue, file=file, stop=stop))
            issues += [Issue(file.path, kind)] if kind else []
        for link in plan.links:
            kind = _at(walker, link.path, partial(_link_issue, target=link.target))
            issues += [Issue(link.path, kind)] if kind else []
        for path in plan.directories:
            kind = _at(walker, path, _folder_issue)
            issues += [Issue(path, kind)] if kind else []
    finally:
        walker.close()
    issues += [Issue(path, IssueKind.EXTRA) for path in _extra(workspace.root, plan)]
    return sorted(issues, key=lambda issue: issue.path.encode("utf-8", "surrogateescape"))


def damage(issues: Sequence[Issue]) -> Sequence[Issue]:
    """The issues that a repair is for."""
    return [issue for issue in issues if issue.kind is not IssueKind.EXTRA]


def _at(walker: Walker, path: str, look: Callable[[Folder, str], IssueKind | None]) -> IssueKind | None:
    """What is wrong at a path, where the way to it may be wrong already."""
    try:
        parent, name = walker.parent_of(path)
        return IssueKind.MISSING if parent is None else look(parent, name)
    except FileNotFoundError:
        return IssueKind.MISSING
    except OSError as error:
        if not is_obstruction(error):
            raise disk_failure(error, path) from None
        return IssueKind.CORRUPTED


def _file_issue(parent: Folder, name: str, file: PlannedFile, stop: threading.Event) -> IssueKind | None:
    status = parent.status(name)
    if status is None:
        return IssueKind.MISSING
    if not stat.S_ISREG(status.st_mode) or status.st_size != file.size_bytes:
        return IssueKind.CORRUPTED
    descriptor = parent.open_file(name, os.O_RDONLY)
    try:
        if hash_descriptor(descriptor, stop) != file.sha256:
            return IssueKind.CORRUPTED
    finally:
        os.close(descriptor)
    return None if stat.S_IMODE(status.st_mode) == file.mode else IssueKind.WRONG_MODE


def _link_issue(parent: Folder, name: str, target: str) -> IssueKind | None:
    status = parent.status(name)
    if status is None:
        return IssueKind.MISSING
    is_right = stat.S_ISLNK(status.st_mode) and os.readlink(name, dir_fd=parent.descriptor) == target
    return None if is_right else IssueKind.CORRUPTED


def _folder_issue(parent: Folder, name: str) -> IssueKind | None:
    status = parent.status(name)
    if status is None:
        return IssueKind.MISSING
    return None if stat.S_ISDIR(status.st_mode) else IssueKind.CORRUPTED


def _extra(root: Folder, plan: Plan) -> Sequence[str]:
    known = {file.path for file in plan.files.values()} | {link.path for link in plan.links} | set(plan.directories)
    known.add(STAGING_FOLDER)
    extra: list[str] = []
    folders = [""]
    while folders and len(extra) < MAX_EXTRA:
        path = folders.pop()
        walker = Walker(root)
        try:
            folder = walker.folder(path.split("/") if path else [])
            for name in folder.names() if folder is not None else ():
                below = f"{path}/{name}" if path else name
                status = folder.status(name) if folder is not None else None
                if below not in known:
                    extra.append(below)
                elif status is not None and stat.S_ISDIR(status.st_mode) and below != STAGING_FOLDER:
                    folders.append(below)
        except OSError as error:
            raise disk_failure(error, path) from None
        finally:
            walker.close()
    return extra[:MAX_EXTRA]
