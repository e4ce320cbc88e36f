"""Who may call: refusals and admissions over a real server, by user tokens, service tokens and client certificates."""

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import aiohttp
import grpc
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from library.v1 import items_pb2, query_pb2
from samovar.options.v1 import options_pb2

from chassis.auth.access import AccessRule, access_of
from chassis.auth.tokens import KEYS_STALE_LIMIT_SECONDS, KeySet
from chassis.errors import DomainError, Kind
from chassis.errors.wire import from_rpc_error
from tests.component import rpc_rig
from tests.component.rpc_rig import (
    AUDIENCE,
    ISSUER,
    ITEM,
    SERVICE,
    USER,
    Library,
    as_service,
    as_user,
    library_server,
    public_jwk,
    rig,
    rsa_key,
    service_token,
    user_token,
)

GET = items_pb2.GetItemRequest(library_item_id=ITEM)
CHECK = query_pb2.CheckGameAccessRequest(user_id=USER, product_id=ITEM)

UNAUTHENTICATED = (Kind.UNAUTHENTICATED, "UNAUTHENTICATED")
TOKEN_EXPIRED = (Kind.UNAUTHENTICATED, "TOKEN_EXPIRED")
PERMISSION_DENIED = (Kind.PERMISSION_DENIED, "PERMISSION_DENIED")


async def refusal(call) -> tuple[Kind, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    error: DomainError = from_rpc_error(caught.value)
    return error.kind, error.reason


def unsigned(**claims) -> str:
    def part(value) -> str:
        return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    now = int(datetime.now(UTC).timestamp())
    body = {"iss": ISSUER, "aud": AUDIENCE, "sub": USER, "iat": now, "exp": now + 600, "roles": ["user"], **claims}
    return f"{part({'alg': 'none', 'typ': 'JWT', 'kid': 'k1'})}.{part(body)}."


def hs256_with_the_public_key() -> str:
    public = rsa_key("k1").public_key()
    secret = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    header = urlsafe_b64encode(b'{"alg":"HS256","kid":"k1","typ":"JWT"}').rstrip(b"=")
    now = int(datetime.now(UTC).timestamp())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": USER, "iat": now, "exp": now + 600, "roles": ["user"]}
    body = urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=")
    signature = hmac.new(secret, header + b"." + body, hashlib.sha256).digest()
    return b".".join((header, body, urlsafe_b64encode(signature).rstrip(b"="))).decode()


def signed_by_a_stranger() -> str:
    now = datetime.now(UTC)
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": USER,
        "iat": now,
        "exp": now + timedelta(hours=1),
        "roles": ["user"],
    }
    return jwt.encode(claims, rsa_key("stranger"), algorithm="RS256", headers={"kid": "k1"})


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (lambda: "garbage", UNAUTHENTICATED),
        (lambda: "a.b.c", UNAUTHENTICATED),
        (lambda: user_token(ttl_seconds=-1), TOKEN_EXPIRED),
        (signed_by_a_stranger, UNAUTHENTICATED),
        (lambda: user_token(kid="unknown"), UNAUTHENTICATED),
        (lambda: user_token(headers={"kid": ""}), UNAUTHENTICATED),
        (unsigned, UNAUTHENTICATED),
        (hs256_with_the_public_key, UNAUTHENTICATED),
        (lambda: user_token(iss="https://elsewhere"), UNAUTHENTICATED),
        (lambda: user_token(aud="another"), UNAUTHENTICATED),
        (lambda: user_token(exp=None), UNAUTHENTICATED),
        (lambda: user_token(iat=None), UNAUTHENTICATED),
        (lambda: user_token(sub="not-a-uuid"), UNAUTHENTICATED),
        (lambda: user_token(sub=None), UNAUTHENTICATED),
        (lambda: user_token(roles="user"), UNAUTHENTICATED),
        (lambda: user_token(iat=datetime.now(UTC) + timedelta(hours=1)), UNAUTHENTICATED),
        (lambda: user_token(nbf=datetime.now(UTC) + timedelta(hours=1)), UNAUTHENTICATED),
        (lambda: user_token(sub="service:gateway"), UNAUTHENTICATED),
        (lambda: service_token("gateway"), UNAUTHENTICATED),
        (lambda: user_token(roles=["guest"]), PERMISSION_DENIED),
        (lambda: user_token(roles=[]), PERMISSION_DENIED),
    ],
)
async def test_a_users_method_is_refused_to(token, expected):
    async with rig() as r:
        assert await refusal(r.items.GetItem(GET, metadata=as_user(token()))) == expected
        assert r.library.callers == []


async def test_a_users_method_is_refused_without_a_token():
    async with rig() as r:
        assert await refusal(r.items.GetItem(GET)) == UNAUTHENTICATED


async def test_a_users_method_is_refused_to_another_scheme_than_bearer():
    async with rig() as r:
        assert (
            await refusal(r.items.GetItem(GET, metadata=(("authorization", f"Basic {user_token()}"),)))
            == UNAUTHENTICATED
        )


async def test_a_users_method_is_refused_to_a_service_without_its_user():
    async with rig() as r:
        assert await refusal(r.items.GetItem(GET, metadata=as_service("gateway"))) == UNAUTHENTICATED


async def test_a_user_is_known_by_the_token():
    async with rig() as r:
        metadata = (
            *as_user(user_token(roles=["user", "admin"], permissions=["channel:beta"])),
            ("accept-language", "en"),
        )
        await r.items.GetItem(GET, metadata=metadata)
        caller = r.library.callers[0]
    assert str(caller.require_user()) == USER
    assert caller.roles == {"user", "admin"}
    assert caller.permissions == {"channel:beta"}
    assert caller.service is None
    assert caller.language == "en"


async def test_texts_are_russian_unless_english_is_asked_for():
    async with rig() as r:
        await r.items.GetItem(GET, metadata=as_user())
        assert r.library.callers[0].language == "ru"


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        (tuple, UNAUTHENTICATED),
        (lambda: as_service("launcher"), PERMISSION_DENIED),
        (as_user, PERMISSION_DENIED),
        (lambda: as_service("download-service", audience="download-service"), UNAUTHENTICATED),
        (lambda: as_service("download-service", audience=AUDIENCE), UNAUTHENTICATED),
        (lambda: as_service("download-service", ttl_seconds=-1), TOKEN_EXPIRED),
        (lambda: as_service("download-service", ttl_seconds=3600), UNAUTHENTICATED),
        (lambda: (("x-service-authorization", f"Bearer {user_token(aud=SERVICE, ttl_seconds=200)}"),), UNAUTHENTICATED),
        (lambda: (("authorization", f"Bearer {service_token('download-service')}"),), UNAUTHENTICATED),
        (lambda: (("x-service-authorization", f"Bearer {service_token('')}"),), UNAUTHENTICATED),
    ],
)
async def test_a_services_method_is_refused_to(metadata, expected):
    async with rig() as r:
        assert await refusal(r.query.CheckGameAccess(CHECK, metadata=metadata())) == expected
        assert r.library.callers == []


async def test_a_named_service_is_admitted_and_known():
    async with rig() as r:
        answer = await r.query.CheckGameAccess(CHECK, metadata=as_service("download-service"))
        assert answer.has_access
        assert r.library.callers[0].service == "download-service"
        assert r.library.callers[0].user_id is None


async def test_service_tokens_count_for_nothing_where_they_are_off():
    async with rig(with_service_tokens=False) as r:
        assert await refusal(r.query.CheckGameAccess(CHECK, metadata=as_service("download-service"))) == UNAUTHENTICATED


async def test_the_gateway_is_believed_about_address_and_request_id():
    async with rig() as r:
        told = (("x-client-ip", "203.0.113.7"), ("x-request-id", "req-1"))
        await r.items.GetItem(GET, metadata=(*as_user(), *as_service("gateway"), *told))
        caller = r.library.callers[0]
    assert (caller.service, caller.client_ip, caller.request_id) == ("gateway", "203.0.113.7", "req-1")
    assert str(caller.user_id) == USER


@pytest.mark.parametrize(
    ("told", "known"),
    [
        ("2001:DB8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:1.2.3.4", "::ffff:1.2.3.4"),
        *(
            (wrong, "127.0.0.1")
            for wrong in ("", "unknown", "1.2.3", "1.2.3.4:80", "1.2.3.4/8", "999.1.1.1", "'; --", "1" * 70)
        ),
    ],
)
async def test_what_the_gateway_tells_as_an_address_is_one_or_is_not_used(told: str, known: str):
    async with rig() as r:
        await r.items.GetItem(GET, metadata=(*as_user(), *as_service("gateway"), ("x-client-ip", told)))
        assert r.library.callers[0].client_ip == str(ip_address(known))


@pytest.mark.parametrize("credentials", [as_user, lambda: (*as_user(), *as_service("download-service"))])
async def test_nobody_else_is_believed_about_address_and_request_id(credentials):
    async with rig() as r:
        told = (("x-client-ip", "203.0.113.7"), ("x-request-id", "req-1"))
        await r.items.GetItem(GET, metadata=(*credentials(), *told))
        caller = r.library.callers[0]
    assert caller.client_ip == "127.0.0.1"
    assert caller.request_id not in {"", "req-1"}


async def test_a_request_id_that_is_no_id_is_replaced():
    async with rig() as r:
        await r.items.GetItem(GET, metadata=(*as_user(), *as_service("gateway"), ("x-request-id", "x" * 1000)))
        assert 0 < len(r.library.callers[0].request_id) <= 128


async def test_health_and_reflection_need_no_token():
    async with rig(with_reflection=True) as r:
        health = health_pb2_grpc.HealthStub(r.channel)
        answer = await health.Check(health_pb2.HealthCheckRequest(service="library.v1.LibraryService"))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        reflection = reflection_pb2_grpc.ServerReflectionStub(r.channel)
        call = reflection.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
        names = {service.name async for answer in call for service in answer.list_services_response.service}
    assert {"library.v1.LibraryService", "library.v1.LibraryQueryService", "grpc.health.v1.Health"} <= names


async def test_reflection_is_not_there_unless_it_was_asked_for():
    async with rig() as r:
        reflection = reflection_pb2_grpc.ServerReflectionStub(r.channel)
        call = reflection.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await anext(aiter(call))
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


# A service of its own for what the platform's protos do not have yet: public, either-or, no option, a stream.


def _rules_proto() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="tests/rules.proto",
        package="tests.rules.v1",
        syntax="proto3",
        dependency=["samovar/options/v1/options.proto"],
    )
    file.message_type.add(name="Empty")
    service = file.service.add(name="RulesService")
    access = {
        "Public": options_pb2.Access(public=True),
        "Either": options_pb2.Access(roles=["admin"], services=["download-service"]),
        "Silent": None,
        "Stream": options_pb2.Access(roles=["user"]),
    }
    for name, rule in access.items():
        method = service.method.add(name=name, input_type=".tests.rules.v1.Empty", output_type=".tests.rules.v1.Empty")
        method.server_streaming = name == "Stream"
        if rule is not None:
            method.options.Extensions[options_pb2.access].CopyFrom(rule)
    return file


descriptor_pool.Default().Add(_rules_proto())
Empty = message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName("tests.rules.v1.Empty"))


def _register_rules(server: grpc.aio.Server) -> None:
    async def answer(_request, _context):
        return Empty()

    async def stream(_request, _context):
        yield Empty()
        yield Empty()

    def unary(behaviour):
        return grpc.unary_unary_rpc_method_handler(behaviour, Empty.FromString, Empty.SerializeToString)

    handlers = {name: unary(answer) for name in ("Public", "Either", "Silent")}
    handlers["Stream"] = grpc.unary_stream_rpc_method_handler(stream, Empty.FromString, Empty.SerializeToString)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("tests.rules.v1.RulesService", handlers),))


def rules_rig():
    return rig(register=_register_rules, services=("tests.rules.v1.RulesService",))


def caller_of(r: rpc_rig.Rig, method: str):
    path = f"/tests.rules.v1.RulesService/{method}"
    if method == "Stream":
        return r.channel.unary_stream(path, Empty.SerializeToString, Empty.FromString)
    return r.channel.unary_unary(path, Empty.SerializeToString, Empty.FromString)


async def test_a_public_method_needs_no_token_and_minds_no_bad_one():
    async with rules_rig() as r:
        call = caller_of(r, "Public")
        assert await call(Empty()) == Empty()
        assert await call(Empty(), metadata=as_user(user_token(ttl_seconds=-1))) == Empty()


async def test_a_method_with_roles_and_services_is_open_to_either():
    async with rules_rig() as r:
        call = caller_of(r, "Either")
        assert await call(Empty(), metadata=as_user(user_token(roles=["admin"]))) == Empty()
        assert await call(Empty(), metadata=as_service("download-service")) == Empty()
        assert await refusal(call(Empty(), metadata=as_user())) == PERMISSION_DENIED
        assert await refusal(call(Empty(), metadata=(*as_user(), *as_service("gateway")))) == PERMISSION_DENIED
        assert await refusal(call(Empty())) == UNAUTHENTICATED


async def test_a_method_without_an_option_is_refused_to_everybody():
    async with rules_rig() as r:
        call = caller_of(r, "Silent")
        assert await refusal(call(Empty())) == PERMISSION_DENIED
        assert await refusal(call(Empty(), metadata=as_user(user_token(roles=["admin", "user"])))) == PERMISSION_DENIED
        assert await refusal(call(Empty(), metadata=as_service("gateway"))) == PERMISSION_DENIED


async def test_a_stream_goes_through_the_same_door():
    async with rules_rig() as r:
        call = caller_of(r, "Stream")
        assert len([message async for message in call(Empty(), metadata=as_user())]) == 2

        async def read(**options):
            return [message async for message in call(Empty(), **options)]

        assert await refusal(read()) == UNAUTHENTICATED
        assert await refusal(read(metadata=as_user(user_token(roles=["guest"])))) == PERMISSION_DENIED


def test_the_rule_of_a_method_is_the_protos_option():
    assert access_of("/library.v1.LibraryService/GetItem") == AccessRule(roles=frozenset({"user"}))
    assert access_of("/library.v1.LibraryQueryService/CheckGameAccess").services == {"download-service"}
    assert access_of("/library.v1.LibraryService/Unheard") == AccessRule()


async def test_a_key_that_left_the_set_is_refused_and_a_new_one_admitted():
    """Time is ours here: the set is fetched again 60 seconds on."""
    now = 1000.0
    async with rpc_rig.auth_server() as auth, aiohttp.ClientSession() as session:
        keys = KeySet(auth.jwks_url, session, monotonic=lambda: now)
        library = Library()
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(library_server(library, keys=keys))
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{server.port}"))
            call = rpc_rig.items_pb2_grpc.LibraryServiceStub(channel).GetItem
            old, new = user_token(kid="k1"), user_token(kid="k2")
            await call(GET, metadata=as_user(old))
            assert await refusal(call(GET, metadata=as_user(new))) == UNAUTHENTICATED
            auth.keys = [public_jwk("k2")]
            await call(GET, metadata=as_user(old))
            now += 59
            await call(GET, metadata=as_user(new))
            assert await refusal(call(GET, metadata=as_user(old))) == UNAUTHENTICATED
            assert auth.key_requests == 2


async def test_tokens_go_on_being_checked_while_the_auth_server_is_away():
    now = 1000.0
    async with rpc_rig.auth_server() as auth, aiohttp.ClientSession() as session:
        keys = KeySet(auth.jwks_url, session, monotonic=lambda: now)
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(library_server(Library(), keys=keys))
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{server.port}"))
            call = rpc_rig.items_pb2_grpc.LibraryServiceStub(channel).GetItem
            await call(GET, metadata=as_user())
            auth.fails = True
            now += 120
            await call(GET, metadata=as_user())
            now += KEYS_STALE_LIMIT_SECONDS
            refused = await refusal(call(GET, metadata=as_user()))
            assert refused == (Kind.UNAVAILABLE, "SERVICE_UNAVAILABLE")
