"""The start and the end of the process, under any shell, locale or service manager: closed descriptors, 8-bit
locales, an output that cannot be written. Used by launcher.cli.main; imports nothing heavy.
"""

import codecs
import errno
import locale
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO, cast

from depot.terminal import say
from launcher.failures import ExitCode

_OUTPUT_FAILURES = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF, errno.EFBIG})


def prepare_process() -> None:
    """Makes the three standard streams usable, and names of files bytes that are UTF-8, as manifests have them, in every locale."""
    _open_missing_descriptors()
    _restart_in_utf8()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    if hasattr(sys.stdin, "reconfigure"):
        sys.stdin.reconfigure(errors="surrogateescape")


@contextmanager
def one_line_at_the_end() -> Iterator[None]:
    """Flushes the output; an error of the system that nobody has put into words is one line and an exit code."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        _silence()
        sys.exit(ExitCode.UNEXPECTED)  # as everywhere: the reader has enough
    except OSError as error:
        _silence()
        reason = error.strerror or str(error)
        if error.filename is None and error.errno in _OUTPUT_FAILURES:
            reason = f"the output cannot be written: {reason}"
        elif error.filename is not None:
            reason = f"{reason}: {os.fsdecode(error.filename) if isinstance(error.filename, bytes) else error.filename}"
        with suppress(OSError):
            say(f"samovar: {reason}", err=True)
        sys.exit(ExitCode.DISK)


def typed(text: str) -> str:
    """Return an argument as the user meant it: bytes that are not UTF-8 are in the terminal's own encoding."""
    if text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text):
        return text
    return os.fsencode(text).decode(locale.getencoding(), errors="replace")


def _open_missing_descriptors() -> None:
    """A closed standard stream would give its number to the next file that is opened, which is then written into."""
    while True:
        descriptor = os.open(os.devnull, os.O_RDWR)
        if descriptor > 2:
            os.close(descriptor)
            break
        os.set_inheritable(descriptor, True)  # the function's own form
    sys.stdin = sys.stdin or _text_of(0, "r")
    sys.stdout = sys.stdout or _text_of(1, "w")
    sys.stderr = sys.stderr or _text_of(2, "w")


def _text_of(descriptor: int, mode: str) -> TextIO:
    return cast("TextIO", os.fdopen(descriptor, mode, encoding="utf-8", closefd=False))


def _restart_in_utf8() -> None:
    """In an 8-bit locale Python would not find the words for most names of files: it begins again in UTF-8 mode, where only what
    goes to the terminal is in the terminal's encoding.
    """
    if codecs.lookup(sys.getfilesystemencoding()).name == "utf-8":
        if os.environ.get("PYTHONUTF8") == "1" and sys.stdout.encoding != "utf-8":
            os.environ.pop("PYTHONIOENCODING", None)  # it was for this process, not for its children
        return
    if os.environ.get("PYTHONUTF8") == "1":
        return  # the interpreter was started with the option to ignore its environment
    said = {"PYTHONUTF8": "1", "PYTHONIOENCODING": f"{locale.getencoding()}:backslashreplace"}
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **said})  # noqa: S606


def _silence() -> None:
    """The interpreter flushes once more when it ends: into nothing."""
    with suppress(OSError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        os.close(nothing)
