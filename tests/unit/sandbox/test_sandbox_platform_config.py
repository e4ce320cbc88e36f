"""What the embedded platform tells its programs."""

from sandbox.devstack.platform_config import Home, Ports, embedded_backends, environments

PORTS = Ports(gateway=8080, download=9092, library=9094, sandbox=9096, sandbox_http=9098, postgres=15432, valkey=16379)


def test_services_and_gateway_share_one_redis(tmp_path):
    dsns = dict.fromkeys(("library", "download", "sandbox", "events"), "postgresql://user@127.0.0.1:15432/db")
    home = Home(tmp_path)
    made = environments(home, PORTS, embedded_backends(home, PORTS, dsns), "")
    assert {name for name, settings in made.items() if settings.get("REDIS_ADDR") == "127.0.0.1:16379"} == {
        "library",
        "download",
        "gateway",
    }
