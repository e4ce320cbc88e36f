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
    passwords = {settings.get("REDIS_PASSWORD") for name, settings in made.items() if name != "sandbox"}
    assert passwords == {home.secrets()["valkey"]}


def test_a_home_of_an_earlier_version_keeps_its_secrets_and_is_given_those_that_it_lacks(tmp_path):
    home = Home(tmp_path)
    (tmp_path / "secrets.json").write_text('{"gateway": "kept"}')
    made = home.secrets()
    assert made["gateway"] == "kept"
    assert made == home.secrets()
    assert {"valkey", "postgres_library", "objects_signing_key"} <= made.keys()
