"""Manifests from Catalog, over gRPC: for versions whose manifest may not, or cannot, be fetched from its URL."""

from uuid import UUID

import grpc
from catalog.v1 import product_pb2, product_pb2_grpc
from content.v1 import manifest_pb2

from depot.errors import ManifestInvalid
from download_svc.peer_errors import unavailable_peer

SERVICE = "catalog.v1.ProductService"
TIMEOUT_SECONDS = 30.0


class CatalogManifests:
    """Asks GetVersionManifest."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = product_pb2_grpc.ProductServiceStub(channel)

    async def get(self, product_id: UUID, version_id: UUID) -> tuple[bytes, manifest_pb2.ManifestSignature]:
        """Stored bytes and signature.

        Raises:
            MANIFEST_INVALID: Catalog has none. SERVICE_UNAVAILABLE, DEADLINE_EXCEEDED: Catalog does not answer.
        """
        request = product_pb2.GetVersionManifestRequest(product_id=str(product_id), version_id=str(version_id))
        try:
            response = await self._stub.GetVersionManifest(request, timeout=TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                raise ManifestInvalid("Catalog has no manifest of the version") from error
            raise unavailable_peer(error, "catalog") from error
        return response.manifest, response.signature
