"""Links to chunks on the CDNs, signed here without the network. Called by the use case of links."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from chassis.objects.signed_urls import sign
from depot.chunks import chunk_key
from depot.patches import patch_key
from download_svc.links.application import Link


@dataclass(frozen=True, slots=True)
class CdnProvider:
    """One CDN: its name in reports, the URL that object keys are appended to, and how much of the traffic it is meant to have."""

    name: str
    base_url: str
    region: str = ""
    weight: int = 1


class CdnLinkSigner:
    """Signs every chunk for every CDN, the heaviest first; choosing by place and load comes with the CDN issue."""

    def __init__(self, providers: Sequence[CdnProvider], *, key: str, ttl_seconds: int) -> None:
        self._providers = sorted(providers, key=lambda provider: -provider.weight)
        self._key = key
        self._ttl = timedelta(seconds=ttl_seconds)

    def sign(self, product_id: UUID, sha256s: Sequence[bytes], now: datetime) -> Sequence[Sequence[Link]]:
        expires_at = self._end(now)
        return [self._candidates(chunk_key(product_id, sha256), expires_at) for sha256 in sha256s]

    def sign_patches(self, product_id: UUID, sha256s: Sequence[bytes], now: datetime) -> Sequence[Sequence[Link]]:
        expires_at = self._end(now)
        return [self._candidates(patch_key(product_id, sha256), expires_at) for sha256 in sha256s]

    def _end(self, now: datetime) -> datetime:
        """Links say whole seconds, so the end that we announce is one that the CDN will keep."""
        return (now + self._ttl).replace(microsecond=0)

    def _candidates(self, key: str, expires_at: datetime) -> Sequence[Link]:
        return [
            Link(
                sign(f"{provider.base_url.rstrip('/')}/{key}", key=self._key, expires_at=expires_at),
                provider.name,
                expires_at,
            )
            for provider in self._providers
        ]
