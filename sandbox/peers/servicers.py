"""catalog.v1.ProductService and samovar.sandbox.v1.SandboxService over the stand-ins. Registered by sandbox.peers.main."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

from catalog.v1 import product_pb2, product_pb2_grpc
from content.v1 import manifest_pb2 as content
from samovar.sandbox.v1 import sandbox_pb2, sandbox_pb2_grpc

from chassis.errors import DomainError, Kind
from chassis.objects.object_store import ObjectStore
from depot.chunks import manifest_key, signature_key
from sandbox.peers.auth import DEFAULT_ROLES, SERVICE_TOKEN_LIFE, USER_TOKEN_LIFE, TokenIssuer
from sandbox.peers.catalog import Catalog, invalid, uuid_of
from sandbox.peers.shop import Shop

Context = Any
"""grpc.aio.ServicerContext, which grpc-stubs knows for the synchronous server only."""


class ProductServicer(product_pb2_grpc.ProductServiceServicer):
    """The product RPCs of Catalog that the services call."""

    def __init__(self, catalog: Catalog, objects: ObjectStore) -> None:
        self._catalog = catalog
        self._objects = objects

    async def GetProduct(
        self, request: product_pb2.GetProductRequest, _context: Context
    ) -> product_pb2.GetProductResponse:
        return product_pb2.GetProductResponse(product=await self._catalog.product(UUID(request.product_id)))

    async def GetProductsBatch(
        self, request: product_pb2.GetProductsBatchRequest, _context: Context
    ) -> product_pb2.GetProductsBatchResponse:
        ids = [UUID(product_id) for product_id in request.product_ids]
        return product_pb2.GetProductsBatchResponse(products=await self._catalog.products(ids))

    async def GetVersionManifest(
        self, request: product_pb2.GetVersionManifestRequest, _context: Context
    ) -> product_pb2.GetVersionManifestResponse:
        product_id, version_id = UUID(request.product_id), UUID(request.version_id)
        missing = DomainError(Kind.NOT_FOUND, "VERSION_NOT_FOUND", details={"version_id": request.version_id})
        if not await self._catalog.has_version(product_id, version_id):
            raise missing
        try:
            manifest = await self._objects.get(manifest_key(product_id, version_id))
            signature = await self._objects.get(signature_key(product_id, version_id))
        except DomainError as error:
            if error.kind is Kind.NOT_FOUND:
                raise missing from error
            raise
        return product_pb2.GetVersionManifestResponse(
            manifest=manifest, signature=content.ManifestSignature.FromString(signature)
        )

    async def ListAchievements(
        self, request: product_pb2.ListAchievementsRequest, _context: Context
    ) -> product_pb2.ListAchievementsResponse:
        achievements = await self._catalog.achievements(UUID(request.product_id))
        return product_pb2.ListAchievementsResponse(achievements=achievements)


class SandboxServicer(sandbox_pb2_grpc.SandboxServiceServicer):
    """The levers."""

    def __init__(self, tokens: TokenIssuer, catalog: Catalog, shop: Shop) -> None:
        self._tokens = tokens
        self._catalog = catalog
        self._shop = shop

    async def IssueToken(
        self, request: sandbox_pb2.IssueTokenRequest, _context: Context
    ) -> sandbox_pb2.IssueTokenResponse:
        if bool(request.user_id) == bool(request.service):
            raise invalid("user_id", "a token is either a user's or a service's")
        life = timedelta(seconds=request.ttl_seconds)
        if request.service:
            if not request.audience:
                raise invalid("audience", "a service token needs the name of the called service")
            token = await asyncio.to_thread(
                self._tokens.issue_service_token,
                request.service,
                audience=request.audience,
                life=life or SERVICE_TOKEN_LIFE,
            )
        else:
            token = await asyncio.to_thread(
                self._tokens.issue_token,
                uuid_of("user_id", request.user_id),
                roles=list(request.roles) or DEFAULT_ROLES,
                permissions=list(request.permissions),
                life=life or USER_TOKEN_LIFE,
            )
        return sandbox_pb2.IssueTokenResponse(token=token)

    async def PutProduct(
        self, request: sandbox_pb2.PutProductRequest, _context: Context
    ) -> sandbox_pb2.PutProductResponse:
        await self._catalog.put_product(request.product, request.achievements)
        return sandbox_pb2.PutProductResponse()

    async def ListProducts(
        self, _request: sandbox_pb2.ListProductsRequest, _context: Context
    ) -> sandbox_pb2.ListProductsResponse:
        return sandbox_pb2.ListProductsResponse(products=await self._catalog.products())

    async def AnnounceVersion(
        self, request: sandbox_pb2.AnnounceVersionRequest, _context: Context
    ) -> sandbox_pb2.AnnounceVersionResponse:
        await self._catalog.announce_version(request)
        return sandbox_pb2.AnnounceVersionResponse()

    async def WithdrawVersion(
        self, request: sandbox_pb2.WithdrawVersionRequest, _context: Context
    ) -> sandbox_pb2.WithdrawVersionResponse:
        version_ids = await self._catalog.withdraw_version(UUID(request.product_id), request.version)
        return sandbox_pb2.WithdrawVersionResponse(version_ids=map(str, version_ids))

    async def Buy(self, request: sandbox_pb2.BuyRequest, _context: Context) -> sandbox_pb2.BuyResponse:
        products = [uuid_of(f"product_ids[{i}]", product_id) for i, product_id in enumerate(request.product_ids)]
        order_id = await self._shop.buy(UUID(request.user_id), products)
        return sandbox_pb2.BuyResponse(order_id=str(order_id))

    async def Refund(self, request: sandbox_pb2.RefundRequest, _context: Context) -> sandbox_pb2.RefundResponse:
        refund_id = await self._shop.refund(uuid_of("order_id", request.order_id))
        return sandbox_pb2.RefundResponse(refund_id=str(refund_id))

    async def SetPrice(self, request: sandbox_pb2.SetPriceRequest, _context: Context) -> sandbox_pb2.SetPriceResponse:
        life = timedelta(seconds=request.duration_seconds)
        sale_id = await self._catalog.set_price(
            UUID(request.product_id), discount_percent=request.discount_percent, life=life
        )
        return sandbox_pb2.SetPriceResponse(sale_id=str(sale_id))

    async def DeleteUser(
        self, request: sandbox_pb2.DeleteUserRequest, _context: Context
    ) -> sandbox_pb2.DeleteUserResponse:
        await self._shop.delete_user(UUID(request.user_id))
        return sandbox_pb2.DeleteUserResponse()
