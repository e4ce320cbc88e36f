"""Puts a staged tree in the place of the present one: moves aside what the new version dropped, creates folders, and renames files
and links into place. All or nothing: when the disk fails half-way, every step is reverted. Used by launcher.install.installation;
blocks.

A kill in the middle is finished by the next run: every file is staged, durable and noted before the first rename. Only what is the
launcher's (launcher.disk.keeping) is moved aside, which ends it; unknown content is renamed beside its place in one step, so
that there is no moment at which a crash could lose it.
"""

import errno
import os
import stat
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum, auto

from launcher.disk.folder import Folder, Walker, disk_failure, is_obstruction, move, set_mode
from launcher.disk.keeping import Ownership, free_name, recognise
from launcher.disk.plan import Outdated, Plan, PlannedFile, PlannedLink, outdated_by
from launcher.disk.workspace import Workspace

_LINK_NAME = "link"


class _Did(Enum):
    MOVED_ASIDE = auto()
    KEPT_BESIDE = auto()
    PLACED_FILE = auto()
    PLACED_LINK = auto()
    MADE_FOLDER = auto()
    REMOVED_FOLDER = auto()
    CHANGED_MODE = auto()


@dataclass(frozen=True, slots=True)
class _Step:
    did: _Did
    path: str
    name: str = ""
    """In the staging folder; of what is kept beside, in its own."""
    mode: int = 0
    """The mode that a file had before."""


class Placement:
    """One change of a game's tree. `place` may be called again, in this process or another, until it has returned.

    Attributes:
        left: paths of files that the new version drops, but that are no longer as they were placed: they stay.
    """

    def __init__(self, workspace: Workspace, plan: Plan, outdated: Outdated, ownership: Ownership) -> None:
        self.left: list[str] = []
        self._workspace = workspace
        self._plan = plan
        self._outdated = outdated
        self._ownership = ownership
        self._steps: list[_Step] = []
        self._touched: dict[str, None] = {}
        self._walker = Walker(workspace.root)
        self._path = ""

    def place(self, in_place: Iterable[int]) -> int:
        """Makes the tree the plan's and its names durable; returns how many outdated files and links went.

        Raises:
            LauncherError: something lies in the way, or the disk refuses. The tree is as it was.
        """
        placed = set(in_place)
        try:
            removed = self._clear()
            for path in self._plan.directories:
                self._path = path
                self._make_folder(path)
            for file in self._plan.files.values():
                self._path = file.path
                self._place_file(file, is_in_place=file.index in placed)
            for link in self._plan.links:
                self._path = link.path
                self._place_link(link)
            self._sync()
        except OSError as error:
            self._undo()
            raise disk_failure(error, self._path) from None
        finally:
            self._walker.close()
        return removed

    def _clear(self) -> int:
        """Moves outdated entries aside. Removes only empty folders: everything else in them belongs to the user."""
        removed = 0
        folders = set(self._plan.directories)
        for path in sorted(self._outdated.leaves):
            self._path = path
            try:
                parent, name = self._walker.parent_of(path)
            except OSError as error:
                if not is_obstruction(error):
                    raise
                continue  # the tree there is not the one that was installed
            if parent is None or not _is_leaf(parent, name):
                continue
            if self._is_own(parent, name, path):
                self._move_aside(parent, name, path)
                removed += 1
            elif path in folders:
                self._keep_beside(parent, name, path)
            else:
                self.left.append(path)
        for path in sorted(self._outdated.folders, key=lambda path: (-path.count("/"), path)):
            self._path = path
            self._remove_folder(path)
        return removed

    def _remove_folder(self, path: str) -> None:
        try:
            parent, name = self._walker.parent_of(path)
            if parent is None or parent.status(name) is None:
                return
            os.rmdir(name, dir_fd=parent.descriptor)
        except OSError as error:
            if not is_obstruction(error) and error.errno != errno.EBUSY:  # another disk is mounted there
                raise
            return
        self._note(_Did.REMOVED_FOLDER, path)

    def _make_folder(self, path: str) -> None:
        parent, name = self._walker.parent_of(path, create=True)
        assert parent is not None  # noqa: S101  # created
        if parent.status(name) is None:
            os.mkdir(name, 0o755, dir_fd=parent.descriptor)
            self._note(_Did.MADE_FOLDER, path)
        self._walker.folder(path.split("/"))

    def _place_file(self, file: PlannedFile, *, is_in_place: bool) -> None:
        parent, name = self._walker.parent_of(file.path, create=True)
        assert parent is not None  # noqa: S101  # created
        if self._plan.is_users(file.path) and parent.status(name) is not None:
            return
        if is_in_place:
            self._set_mode(parent, name, file)
            return
        self._make_way(parent, name, file.path)
        move(self._workspace.staged, file.staged_name, parent, name)
        self._note(_Did.PLACED_FILE, file.path, file.staged_name)

    def _place_link(self, link: PlannedLink) -> None:
        parent, name = self._walker.parent_of(link.path, create=True)
        assert parent is not None  # noqa: S101  # created
        if self._plan.is_users(link.path) and parent.status(name) is not None:
            return
        if _leads_to(parent, name) == link.target:
            return
        self._make_way(parent, name, link.path)
        staged = self._workspace.staged
        staged.remove(_LINK_NAME)
        os.symlink(link.target, _LINK_NAME, dir_fd=staged.descriptor)
        move(staged, _LINK_NAME, parent, name)
        self._note(_Did.PLACED_LINK, link.path)

    def _make_way(self, parent: Folder, name: str, path: str) -> None:
        """Frees a place of the new version. A folder gives way only where the version before had it, with what is in it."""
        if _is_leaf(parent, name):
            if self._is_own(parent, name, path):
                self._move_aside(parent, name, path)
            else:
                self._keep_beside(parent, name, path)
        elif path in self._outdated.folders and parent.status(name) is not None:
            self._keep_beside(parent, name, path)

    def _is_own(self, parent: Folder, name: str, path: str) -> bool:
        status = parent.status(name)
        return status is not None and self._ownership.covers(path, status)

    def _keep_beside(self, parent: Folder, name: str, path: str) -> None:
        """One rename within the folder. It is noted first: a run that is killed here is reported by the next."""
        kept = free_name(parent, name)
        self._workspace.note_kept(path, path.removesuffix(name) + kept)
        os.rename(name, kept, src_dir_fd=parent.descriptor, dst_dir_fd=parent.descriptor)
        self._note(_Did.KEPT_BESIDE, path, kept)

    def _move_aside(self, parent: Folder, name: str, path: str) -> None:
        """Into the staging folder, under a name that the next run's scan does not know and therefore removes."""
        aside = f"old-{len(self._steps)}"
        move(parent, name, self._workspace.staged, aside)
        self._note(_Did.MOVED_ASIDE, path, aside)

    def _set_mode(self, parent: Folder, name: str, file: PlannedFile) -> None:
        descriptor = parent.open_file(name, os.O_RDONLY)
        try:
            had = set_mode(descriptor, file.mode)
            if had is not None:
                self._steps.append(_Step(_Did.CHANGED_MODE, file.path, mode=had))
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _note(self, did: _Did, path: str, name: str = "") -> None:
        """Records a step; the names in the folder that the path lies in have changed."""
        self._steps.append(_Step(did, path, name))
        self._touched[path.rpartition("/")[0]] = None

    def _sync(self) -> None:
        for path in self._touched:
            self._path = path
            try:
                folder = self._walker.folder(path.split("/") if path else [])
            except OSError as error:
                if not is_obstruction(error):
                    raise
                continue  # it is no folder any more: its name is the parent's to keep
            if folder is not None:
                folder.sync()

    def _undo(self) -> None:
        """Reverts the steps, the last one first. A step that cannot be reverted is left for the next run to finish."""
        self._walker.close()
        walker = Walker(self._workspace.root)
        staged = self._workspace.staged
        for step in reversed(self._steps):
            with suppress(OSError):
                parent, name = walker.parent_of(step.path)
                if parent is None:
                    continue
                if step.did is _Did.MOVED_ASIDE:
                    move(staged, step.name, parent, name)
                elif step.did is _Did.KEPT_BESIDE:
                    os.rename(step.name, name, src_dir_fd=parent.descriptor, dst_dir_fd=parent.descriptor)
                elif step.did is _Did.PLACED_FILE:
                    move(parent, name, staged, step.name)
                elif step.did is _Did.CHANGED_MODE:
                    _restore_mode(parent, name, step.mode)
                elif step.did is _Did.PLACED_LINK:
                    parent.remove(name)
                elif step.did is _Did.MADE_FOLDER:
                    os.rmdir(name, dir_fd=parent.descriptor)
                else:
                    os.mkdir(name, 0o755, dir_fd=parent.descriptor)
        walker.close()


@dataclass(frozen=True, slots=True)
class Removed:
    """The result of an uninstallation: how many files and links it removed, and which it left because their content has changed."""

    count: int
    left: Sequence[str] = ()


def remove_tree(
    workspace: Workspace, trees: Sequence[Plan], stop: threading.Event, *, delete_changed: bool = False
) -> Removed:
    """Removes what was installed and still has the content that it was installed with, and the folders that are empty then. With
    `delete_changed` what has other content by now, too; never what the versions say is the user's.

    Raises:
        LauncherError: the disk refuses.
    """
    if not trees:
        return Removed(0)
    nothing = replace(trees[0], files={}, links=(), directories=(), chunks=(), total_bytes=0)
    outdated = outdated_by(nothing, trees)
    given_up = outdated.leaves if delete_changed else ()
    ownership = recognise(workspace, outdated.leaves, trees, stop, given_up=given_up)
    placement = Placement(workspace, nothing, outdated, ownership)
    return Removed(placement.place(()), placement.left)


def _is_leaf(parent: Folder, name: str) -> bool:
    """Return True when an entry that is not a folder has that name."""
    status = parent.status(name)
    return status is not None and not stat.S_ISDIR(status.st_mode)


def _leads_to(parent: Folder, name: str) -> str | None:
    """Return the target of the link of that name; None when there is no such link."""
    status = parent.status(name)
    if status is None or not stat.S_ISLNK(status.st_mode):
        return None
    return os.readlink(name, dir_fd=parent.descriptor)


def _restore_mode(parent: Folder, name: str, mode: int) -> None:
    descriptor = parent.open_file(name, os.O_RDONLY)
    try:
        set_mode(descriptor, mode)
    finally:
        os.close(descriptor)
