"""Errors in content: raised by every module of the depot, identified outside by the reason."""

from chassis.errors import DomainError, Kind


class ManifestInvalid(DomainError):
    """The manifest breaks a rule; `description` says which, naming the entry."""

    def __init__(self, description: str) -> None:
        super().__init__(Kind.FAILED_PRECONDITION, "MANIFEST_INVALID", details={"description": description})
        self.description = description


class ManifestSignatureInvalid(DomainError):
    """The manifest is not signed by any key that is trusted; `description` is for logs."""

    def __init__(self, description: str) -> None:
        super().__init__(Kind.FAILED_PRECONDITION, "MANIFEST_SIGNATURE_INVALID", details={"description": description})
        self.description = description


class ChunkCorrupt(DomainError):
    """The bytes received are not the chunk that the manifest names; fetching them again, elsewhere, may help."""

    def __init__(self, description: str) -> None:
        super().__init__(Kind.FAILED_PRECONDITION, "FILE_HASH_MISMATCH", details={"description": description})
        self.description = description


class PatchInvalid(DomainError):
    """A binary patch that must not be used, or that does not produce the file it was created for: the file is fetched by chunks."""

    def __init__(self, description: str) -> None:
        super().__init__(
            Kind.FAILED_PRECONDITION, "DELTA_PATCH_APPLICATION_FAILED", details={"description": description}
        )
        self.description = description
