"""`python -m chassis.runtime.health grpc HOST:PORT` or `http HOST:PORT/PATH`: exit code 0 if the program there is ready. The health
command of the images; clusters ask by probes of their own.
"""

import argparse
import http.client
import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

TIMEOUT_SECONDS = 4.0


def is_serving(address: str, service: str = "") -> bool:
    """Ask grpc.health.v1 in plain text."""
    with grpc.insecure_channel(address) as channel:
        try:
            request = health_pb2.HealthCheckRequest(service=service)
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=TIMEOUT_SECONDS)
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def is_ok(address: str) -> bool:
    """Ask an HTTP server for a page; 200 is well."""
    place, _, path = address.partition("/")
    connection = http.client.HTTPConnection(place, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", f"/{path}")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(prog="chassis.runtime.health", description="Ask a program if it is ready")
    parser.add_argument("wire", choices=("grpc", "http"))
    parser.add_argument("address")
    asked = parser.parse_args()
    ask = is_serving if asked.wire == "grpc" else is_ok
    return 0 if ask(asked.address) else 1


if __name__ == "__main__":
    sys.exit(main())
