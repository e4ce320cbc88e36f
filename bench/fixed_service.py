"""The service behind the gateways of `bench.gateway`: a gRPC server that gives each method's fixed answer as bytes, so that the
service costs little and costs every gateway the same. It answers INVALID_ARGUMENT to any other request than the case's.

`python -m bench.fixed_service PORT`.
"""

import asyncio
import signal
import sys
from typing import Any

import grpc
import uvloop

from bench.gateway_cases import CASES, Case


class FixedAnswer:
    """One method."""

    def __init__(self, case: Case) -> None:
        self._expected = case.request
        self._answer = case.response.SerializeToString()
        self._seen: set[bytes] = set()
        """Spellings of the expected request: parsed once each."""

    async def answer(self, raw: bytes, context: Any) -> bytes:
        if raw not in self._seen:
            request = type(self._expected).FromString(raw)
            if request != self._expected:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"another request was expected than {request}")
            self._seen.add(raw)
        return self._answer


def _handlers() -> list[grpc.GenericRpcHandler]:
    services: dict[str, dict[str, grpc.RpcMethodHandler]] = {}
    for case in CASES:
        service, _, method = case.rpc.lstrip("/").partition("/")
        # Without serialisers gRPC hands bytes over as they are.
        handler = grpc.unary_unary_rpc_method_handler(FixedAnswer(case).answer)
        services.setdefault(service, {})[method] = handler
    return [grpc.method_handlers_generic_handler(name, methods) for name, methods in services.items()]


async def _serve(port: int) -> None:
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers(_handlers())
    server.add_insecure_port(f"127.0.0.1:{port}")
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await server.start()
    await stop.wait()
    await server.stop(None)


def main() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(int(sys.argv[1])))


if __name__ == "__main__":
    main()
