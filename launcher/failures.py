"""The one error of the launcher: a failure with the platform's error code, a text for people and the exit code that scripts see.
Raised everywhere below launcher.cli.app, which shows it.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of the process; documented in `samovar install --help`."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    NOT_SIGNED_IN = 3
    DENIED = 4
    NETWORK = 5
    CORRUPT = 6
    DISK = 7
    CANCELLED = 8
    PAUSED = 9
    CONFLICT = 10
    HUNG_UP = 129
    SAVE_CONFLICT = 11
    INTERRUPTED = 130
    TERMINATED = 143


EXIT_CODES_HELP = (
    "Exit codes: 0 done; 1 unexpected failure; 2 wrong usage; 3 not signed in, or the token was refused; "
    "4 access denied or not found; 5 network or server away; 6 content corrupt; 7 disk full or not writable; "
    "8 cancelled; 9 paused; 10 changed meanwhile, or the version to change was not named; "
    "11 a save changed here and in the cloud; 129 the terminal closed; 130 interrupted (Ctrl-C)."
)


class LauncherError(Exception):
    """A failure that ends a command.

    Attributes:
        code: an error code of the platform, or one of the launcher's own in the same form.
        message: for people.
        exit_code: what the process answers with.
        file: path in the game's tree of the file it is about, if it is about one.
    """

    def __init__(self, code: str, message: str, exit_code: ExitCode, *, file: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.exit_code = exit_code
        self.file = file

    def __str__(self) -> str:
        return f"{self.message} ({self.file})" if self.file else self.message


def first_failure(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The failure to show of those that a task group collected: one with an exit code if there is one, else the first."""
    leaves = list(_leaves(group))
    return next((leaf for leaf in leaves if isinstance(leaf, LauncherError)), leaves[0])


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for member in error.exceptions for leaf in _leaves(member)]
    return [error]
