"""Messages of download.v1.InstallationService to values of the application, and back."""

from collections.abc import Mapping

from content.v1 import manifest_pb2 as content
from download.v1 import installations_pb2 as pb

from chassis.errors import DomainError, FieldViolation, Kind
from download_svc.installations.domain import InstallationChanges, KeptInstallation
from download_svc.paging import PageRequest
from download_svc.sessions.messages import PAGE_NUMBER, PAGE_SIZE
from download_svc.versions.domain import Version
from download_svc.versions.manifests import Platform

_PLATFORMS: Mapping[Platform, content.Platform] = {
    platform: getattr(content, f"PLATFORM_{platform.name}") for platform in Platform
}
_PLATFORM_OF: Mapping[int, Platform] = {value: platform for platform, value in _PLATFORMS.items()}


def page_request(message: pb.ListVersionsRequest | pb.ListInstallationsRequest) -> PageRequest:
    return PageRequest(
        message.page if message.HasField("page") else PAGE_NUMBER,
        message.limit if message.HasField("limit") else PAGE_SIZE,
    )


def platform_filter(message: pb.ListVersionsRequest) -> Platform | None:
    return _PLATFORM_OF.get(message.platform)


def changes(message: pb.UpdateInstallationRequest) -> InstallationChanges:
    """Return the changes that the mask names. Raises: INVALID_ARGUMENT: an unknown path, or one that cannot be cleared."""
    paths, given = set(message.update_mask.paths), message.installation
    violations = [
        FieldViolation("update_mask", f"unknown path {path!r}", "update_mask.unknown_path")
        for path in sorted(paths - {"is_pinned", "auto_update"})
    ]
    if "is_pinned" in paths and not given.HasField("is_pinned"):
        violations.append(FieldViolation("installation.is_pinned", "cannot be cleared", "update_mask.not_clearable"))
    if violations:
        description = ", ".join(f"{violation.field}: {violation.description}" for violation in violations)
        raise DomainError(
            Kind.INVALID_ARGUMENT, "INVALID_ARGUMENT", details={"description": description}, violations=violations
        )
    return InstallationChanges(
        is_pinned=given.is_pinned if "is_pinned" in paths else None,
        auto_update=given.auto_update if given.HasField("auto_update") else None,
        sets_auto_update="auto_update" in paths,
    )


def version_message(version: Version) -> pb.ProductVersion:
    return pb.ProductVersion(
        id=str(version.version_id),
        product_id=str(version.product_id),
        version_name=version.version_name,
        platform=_PLATFORMS[version.platform],
        channel=version.channel,
        released_at=version.released_at,
        total_size_bytes=version.total_size_bytes,
        file_count=version.file_count,
        is_critical=version.is_critical,
        release_notes_url=version.release_notes_url,
    )


def installation_message(kept: KeptInstallation) -> pb.Installation:
    one = kept.installation
    return pb.Installation(
        id=str(kept.id),
        product_id=str(one.product_id),
        version_id=str(one.version_id),
        device_id=None if one.device_id is None else str(one.device_id),
        platform=_PLATFORMS[one.platform],
        installation_path=one.installation_path,
        is_pinned=kept.is_pinned,
        auto_update=kept.auto_update,
        created_at=kept.created_at,
        updated_at=kept.updated_at,
    )
