"""The user in whose name a call is made, in the library's own types. Called by the servicers of user methods."""

from chassis.auth.access import current_caller
from library_svc.catalog.domain import Language
from library_svc.ids import UserId


def current_user() -> UserId:
    """The user of the current call.

    Raises:
        DomainError: UNAUTHENTICATED, the call is nobody's.
    """
    return UserId(current_caller().require_user())


def current_language() -> Language:
    """The language that the current call prefers."""
    return Language(current_caller().language)
