"""Checks the server's answers against the request: a session or a manifest for another product, version or platform, or for an
older version than the one in place, is refused with its own error code. Used by launcher.install.installation.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from launcher.api.resources import Session
from launcher.disk.plan import Plan
from launcher.failures import ExitCode, LauncherError
from launcher.install.sessions import InstallRequest

REFUSED_PLANS = frozenset({"SESSION_OF_OTHER_PLATFORM", "VERSION_OLDER_THAN_INSTALLED"})
"""Refusals of the session's content: the session can never continue."""
_TEXTS: Mapping[str, Mapping[str, str]] = {
    "SESSION_OF_OTHER_PRODUCT": {
        "en": "the server answered with a download of another product, {found}; asked for was {asked}: nothing was changed",
        "ru": "сервер ответил загрузкой другого продукта, {found}; запрошен был {asked}: ничего не изменено",
    },
    "SESSION_OF_OTHER_VERSION": {
        "en": "the server answered with a download of another version, {found}; asked for was {asked}: nothing was changed",
        "ru": "сервер ответил загрузкой другой версии, {found}; запрошена была {asked}: ничего не изменено",
    },
    "SESSION_OF_OTHER_PLATFORM": {
        "en": "the server answered with a download for another platform, {found}; asked for was {asked}: nothing was changed",
        "ru": "сервер ответил загрузкой для другой платформы, {found}; запрошена была {asked}: ничего не изменено",
    },
    "VERSION_OLDER_THAN_INSTALLED": {
        "en": "the server offers version {found}, which is older than {asked}, the one in place: nothing was changed; "
        "`samovar update --rollback` or --version goes back",
        "ru": "сервер предлагает версию {found}, она старше установленной {asked}: ничего не изменено; "
        "вернуться к ней можно с `samovar update --rollback` или --version",
    },
}


@dataclass(frozen=True, slots=True)
class Agreement:
    """The request and the version in the folder: `installed` is None when the folder is empty or its version is unknown."""

    request: InstallRequest
    installed: Plan | None
    language: str = "en"

    def check_session(self, session: Session) -> None:
        """Check that the session is for the requested product, version and platform.

        Raises:
            LauncherError: SESSION_OF_OTHER_PRODUCT, SESSION_OF_OTHER_VERSION, SESSION_OF_OTHER_PLATFORM.
        """
        asked = self.request
        if session.product_id != asked.product_id:
            raise self._refused("SESSION_OF_OTHER_PRODUCT", session.product_id, asked.product_id)
        if asked.version_id not in {None, session.version_id}:
            raise self._refused("SESSION_OF_OTHER_VERSION", session.version_id, asked.version_id)
        if session.platform is not None and self.platform not in {None, session.platform}:
            raise self._refused("SESSION_OF_OTHER_PLATFORM", session.platform, self.platform)

    def check_plan(self, plan: Plan) -> None:
        """Check that the version is not older than the one in place, by the publisher's signed times, unless the user requested it.

        Raises:
            LauncherError: VERSION_OLDER_THAN_INSTALLED, SESSION_OF_OTHER_PLATFORM.
        """
        asked, installed = self.request, self.installed
        if self.platform not in {None, plan.platform}:
            raise self._refused("SESSION_OF_OTHER_PLATFORM", plan.platform, self.platform)
        if installed is None or asked.is_rollback or self._is_version_asked or installed.platform != plan.platform:
            return
        if plan.version_id != installed.version_id and plan.created_at_ns < installed.created_at_ns:
            raise self._refused("VERSION_OLDER_THAN_INSTALLED", plan.version_id, installed.version_id)

    @property
    def platform(self) -> str | None:
        """The required platform: as requested, else that of the version in place; None = the product's only one."""
        if self.request.platform is not None or self._is_version_asked or self.installed is None:
            return self.request.platform
        return self.installed.platform

    @property
    def _is_version_asked(self) -> bool:
        """True when the user named a version."""
        return self.request.version_id is not None and not self.request.is_newest

    def _refused(self, code: str, found: object, asked: object) -> LauncherError:
        texts = _TEXTS[code]
        text = texts.get(self.language, texts["en"]).format(found=found, asked=asked)
        return LauncherError(code, text, ExitCode.CORRUPT)
