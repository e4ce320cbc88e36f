"""Messages of download.v1.VerificationService to values of the application, and back."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from content.v1 import manifest_pb2 as content
from download.v1 import verifications_pb2 as pb

from download_svc.paging import PageRequest
from download_svc.sessions.messages import PAGE_NUMBER, PAGE_SIZE
from download_svc.verifications.domain import Issue, IssueKind, LocalEntry, Verification, VerificationStatus
from download_svc.versions.manifests import EntryType, derived_ids

_ENTRY_TYPE_OF: Mapping[int, EntryType] = {getattr(content, f"ENTRY_TYPE_{kind.name}"): kind for kind in EntryType}
_STATUSES: Mapping[VerificationStatus, pb.VerificationStatus] = {
    status: getattr(pb, f"VERIFICATION_STATUS_{status.name}") for status in VerificationStatus
}
_KINDS: Mapping[IssueKind, pb.IssueKind] = {kind: getattr(pb, f"ISSUE_KIND_{kind.name}") for kind in IssueKind}
_KIND_OF: Mapping[int, IssueKind] = {value: kind for kind, value in _KINDS.items()}


def local_entries(message: pb.SubmitHashesRequest) -> Sequence[LocalEntry]:
    return [
        LocalEntry(
            path=one.path,
            # An unspecified type says as much as none: a file.
            type=_ENTRY_TYPE_OF.get(one.type, EntryType.FILE),
            size_bytes=one.size_bytes,
            sha256=bytes.fromhex(one.sha256) if one.HasField("sha256") else None,
            mode=one.mode if one.HasField("mode") else None,
            link_target=one.link_target if one.HasField("link_target") else None,
            chunk_sha256s=tuple(map(bytes.fromhex, one.chunk_sha256s)),
        )
        for one in message.files
    ]


def page_request(message: pb.ListVerificationIssuesRequest) -> PageRequest:
    return PageRequest(
        message.page if message.HasField("page") else PAGE_NUMBER,
        message.limit if message.HasField("limit") else PAGE_SIZE,
    )


def kind_filter(message: pb.ListVerificationIssuesRequest) -> IssueKind | None:
    return _KIND_OF.get(message.kind)


def verification_message(verification: Verification) -> pb.Verification:
    return pb.Verification(
        id=str(verification.id),
        product_id=str(verification.product_id),
        version_id=str(verification.version_id),
        device_id=_text(verification.device_id),
        status=_STATUSES[verification.status],
        checked_files_count=verification.checked_files,
        corrupted_files_count=verification.corrupted_files,
        repaired_files_count=verification.repaired_files,
        files_requiring_redownload=verification.requiring_redownload,
        download_session_id=_text(verification.session_id),
        started_at=verification.started_at,
        completed_at=verification.completed_at,
    )


def issue_messages(verification: Verification, issues: Sequence[Issue]) -> Sequence[pb.VerificationIssue]:
    ids = derived_ids(verification.id, [issue.path for issue in issues])
    return [
        pb.VerificationIssue(id=str(issue_id), path=issue.path, kind=_KINDS[issue.kind])
        for issue_id, issue in zip(ids, issues, strict=True)
    ]


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)
