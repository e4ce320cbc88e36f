"""Library's word on access, over gRPC. The answer is for the user that we name; our service token says who asks."""

from uuid import UUID

import grpc
from library.v1 import query_pb2, query_pb2_grpc

from download_svc.peer_errors import unavailable_peer

SERVICE = "library.v1.LibraryQueryService"


class LibraryAccess:
    """Asks CheckGameAccess."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = query_pb2_grpc.LibraryQueryServiceStub(channel)

    async def has_access(self, user_id: UUID, product_id: UUID) -> bool:
        request = query_pb2.CheckGameAccessRequest(user_id=str(user_id), product_id=str(product_id))
        try:
            response = await self._stub.CheckGameAccess(request)
        except grpc.aio.AioRpcError as error:
            raise unavailable_peer(error, "library") from error
        return response.has_access
