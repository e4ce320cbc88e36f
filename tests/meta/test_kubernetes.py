"""k8s/ renders, every object is valid, and our rules hold: no root, limits, pinned images, the programs' own settings and ports,
a drain that is waited for, nothing reachable that is not meant to be.
"""

import base64
import copy
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from chassis.bus.event_bus import DEAD_LETTER_SUFFIX, PARTITIONS
from chassis.bus.kafka_topics import DEAD_LETTER_RETENTION, RETENTION
from chassis.runtime.backends import EventSettings, ObjectSettings
from chassis.runtime.program import STOP_MARGIN_SECONDS
from chassis.settings import ProgramSettings, read_settings
from download_svc.main import NAME as DOWNLOAD
from download_svc.settings import DownloadSettings
from download_svc.settings import MigrateSettings as DownloadMigrateSettings
from gateway.main import NAME as GATEWAY
from gateway.settings import GatewaySettings
from library_svc.main import NAME as LIBRARY
from library_svc.settings import LibrarySettings, MigrateSettings
from operations import manifests
from operations.backup_commands import BackupSettings
from operations.registry import topics
from tests.unit.test_environment_files import lines

PROGRAMS: Mapping[str, tuple[type[ProgramSettings], str, str]] = {
    "gateway": (GatewaySettings, "gateway_http_port", GATEWAY),
    "library": (LibrarySettings, "library_service_grpc_port", LIBRARY),
    "download": (DownloadSettings, "download_service_grpc_port", DOWNLOAD),
}
SECRETS: Mapping[str, Mapping[str, str]] = {
    "samovar-gateway": {"SERVICE_CLIENT_SECRET": "x", "LOG_HASH_KEY": "x" * 32},
    "samovar-library": {
        "SERVICE_CLIENT_SECRET": "x",
        "LOG_HASH_KEY": "x" * 32,
        "S3_ACCESS_KEY_ID": "x",
        "S3_SECRET_ACCESS_KEY": "x",
    },
    "samovar-download": {
        "SERVICE_CLIENT_SECRET": "x",
        "LOG_HASH_KEY": "x" * 32,
        "CDN_LINK_SECRET_KEY": "x" * 32,
        "MANIFEST_PUBLIC_KEYS": "key=" + base64.b64encode(bytes(32)).decode(),
        "S3_ACCESS_KEY_ID": "x",
        "S3_SECRET_ACCESS_KEY": "x",
    },
    "samovar-backups": {
        "S3_ENDPOINT": "s3.backup.example.org",
        "S3_BUCKET": "samovar-backups",
        "S3_ACCESS_KEY_ID": "x",
        "S3_SECRET_ACCESS_KEY": "x",
        "SERVICE_CLIENT_SECRET": "x",
        "BACKUP_KEYS": "1:" + base64.b64encode(bytes(32)).decode(),
    },
    "samovar-valkey": {"REDIS_PASSWORD": "x"},
    "samovar-library-postgres-app": {"uri": "postgresql://library:x@samovar-library-postgres-rw:5432/library"},
    "samovar-download-postgres-app": {"uri": "postgresql://download:x@samovar-download-postgres-rw:5432/download"},
}
"""What docs/operations.md has an operator make, with values that only have the form."""
LEFT_TO_DEFAULTS = {
    "KAFKA_PREFIX", "KAFKA_CONSUMER_GROUP_LIBRARY", "KAFKA_CONSUMER_GROUP_LIBRARY_LIVE", "KAFKA_CONSUMER_GROUP_DOWNLOAD",
    "KAFKA_CONSUMER_GROUP_DOWNLOAD_LIVE", "REDIS_PREFIX", "ROUTES_PACKAGE", "MANIFEST_ALLOW_HTTP", "GRPC_REFLECTION",
    # Of the embedded backends.
    "EVENTS_POSTGRES_DSN", "OBJECTS_DIRECTORY", "OBJECTS_BASE_URL", "OBJECTS_SIGNING_KEY",
}  # fmt: skip


@cache
def _rendered(folder: Path) -> list[manifests.Manifest]:
    kubectl = manifests.find_kubectl()
    if kubectl is None:
        pytest.skip("kubectl is not here: ./taskw k8s:check fetches it")
    return manifests.render_folder(folder, kubectl)


def rendered(overlay: str) -> list[manifests.Manifest]:
    return _rendered(manifests.FOLDER / "overlays" / overlay)


def of_kind(overlay: str, *kinds: str) -> dict[str, Any]:
    return {one["metadata"]["name"]: one for one in rendered(overlay) if one["kind"] in kinds}


def pods(overlay: str) -> Iterator[tuple[str, Any]]:
    """The pod templates of everything that runs pods, by kind and name."""
    for one in rendered(overlay):
        spec: Any = one.get("spec", {})
        if one["kind"] == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        if one["kind"] in {"Deployment", "StatefulSet", "Job", "CronJob"}:
            yield f"{one['kind']}/{one['metadata']['name']}", spec["template"]


def containers(overlay: str) -> Iterator[tuple[str, Any]]:
    for name, template in pods(overlay):
        for one in template["spec"].get("initContainers", []) + template["spec"]["containers"]:
            yield name, one


def environment(overlay: str, container: Any) -> dict[str, str]:
    """What the container's environment is in the cluster."""
    found: dict[str, str] = {}
    maps = of_kind(overlay, "ConfigMap")
    for source in container.get("envFrom", []):
        if "configMapRef" in source:
            found |= maps[source["configMapRef"]["name"]]["data"]
        else:
            found |= SECRETS[source["secretRef"]["name"]]
    for one in container.get("env", []):
        key = one.get("valueFrom", {}).get("secretKeyRef")
        found[one["name"]] = SECRETS[key["name"]][key["key"]] if key else one["value"]
    return found


each_overlay = pytest.mark.parametrize("overlay", manifests.OVERLAYS)


@each_overlay
def test_every_object_is_valid(overlay: str):
    assert list(manifests.problems(rendered(overlay))) == []


def test_a_field_that_does_not_exist_is_refused_in_every_kind():
    kinds = {one["kind"]: one for one in rendered("production") if isinstance(one.get("spec"), dict)}
    assert len(kinds) >= 15
    for kind, one in kinds.items():
        wrong = copy.deepcopy(one)
        wrong["spec"]["replicsa"] = 3
        assert len(list(manifests.problems([wrong]))) == 1, kind


@each_overlay
def test_no_container_has_more_rights_than_it_needs(overlay: str):
    for name, template in pods(overlay):
        spec = template["spec"]
        security = spec["securityContext"]
        assert security["runAsNonRoot"] is True, name
        assert security["runAsUser"] >= 10_000, name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert spec["automountServiceAccountToken"] is False, name
        assert not any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")), name
        assert not any("hostPath" in volume for volume in spec.get("volumes", [])), name
    for name, one in containers(overlay):
        security = one["securityContext"]
        assert security["allowPrivilegeEscalation"] is False, name
        assert security["readOnlyRootFilesystem"] is True, name
        assert security["capabilities"] == {"drop": ["ALL"]}, name


@each_overlay
def test_every_container_has_its_bounds_and_a_pinned_image(overlay: str):
    for name, one in containers(overlay):
        for bound in ("requests", "limits"):
            assert set(one["resources"][bound]) == {"cpu", "memory"}, name
        tag = one["image"].rpartition("/")[2].partition(":")[2]
        assert tag, f"{name}: {one['image']}"
        assert tag != "latest", name


@each_overlay
def test_no_secret_is_in_the_manifests_and_every_one_that_is_named_is_on_the_page(overlay: str):
    assert of_kind(overlay, "Secret") == {}
    page = (manifests.ROOT / "docs" / "operations.md").read_text()
    named = {
        source["secretRef"]["name"]
        for _, one in containers(overlay)
        for source in one.get("envFrom", [])
        if "secretRef" in source
    }
    named |= {
        one["valueFrom"]["secretKeyRef"]["name"]
        for _, c in containers(overlay)
        for one in c.get("env", [])
        if "valueFrom" in one
    }
    assert named <= set(SECRETS)
    for name in named:
        assert f"`{name}`" in page, name
        assert all(f"`{key}`" in page for key in SECRETS[name]), name


@each_overlay
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_starts_with_its_environment(overlay: str, program: str, monkeypatch: pytest.MonkeyPatch):
    (one,) = of_kind(overlay, "Deployment")[program]["spec"]["template"]["spec"]["containers"]
    values = environment(overlay, one)
    if overlay == "dev" and program != "gateway":
        values["EVENTS_POSTGRES_DSN"] = "postgresql://events"  # of the services' secrets, as the overlay says
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    settings = read_settings(PROGRAMS[program][0])
    assert settings.bind_host == "0.0.0.0"
    known = {name for _, name, _ in lines()}
    assert set(values) <= known, "nobody reads this"


@pytest.mark.parametrize("program", PROGRAMS)
def test_in_production_every_setting_of_a_program_is_decided(program: str):
    (one,) = of_kind("production", "Deployment")[program]["spec"]["template"]["spec"]["containers"]
    fields = {name.upper() for name in PROGRAMS[program][0].model_fields} - {"SERVICE_ADDRESSES"}
    assert fields - set(environment("production", one)) - LEFT_TO_DEFAULTS == set()


@each_overlay
def test_migrations_start_with_their_environment(overlay: str, monkeypatch: pytest.MonkeyPatch):
    for name, settings in (("migrate-library", MigrateSettings), ("migrate-download", DownloadMigrateSettings)):
        (one,) = of_kind(overlay, "Job")[name]["spec"]["template"]["spec"]["containers"]
        with monkeypatch.context() as patch:
            for key, value in environment(overlay, one).items():
                patch.setenv(key, value)
            assert read_settings(settings).postgres_dsn
        assert one["args"] == ["migrate"]


@pytest.mark.parametrize("overlay", ["staging", "production"])
def test_backups_start_with_their_environment(overlay: str, monkeypatch: pytest.MonkeyPatch):
    templates = dict(pods(overlay))
    for name in ("CronJob/backup-library", "CronJob/backup-download", "Deployment/backup-watch"):
        (one,) = templates[name]["spec"]["containers"]
        with monkeypatch.context() as patch:
            for key, value in environment(overlay, one).items():
                patch.setenv(key, value)
            settings = read_settings(BackupSettings)
            assert settings.s3_bucket == "samovar-backups", "not beside what is backed up"
            assert bool(settings.postgres_dsn.get_secret_value()) == name.startswith("CronJob")
            assert one["args"][0] == "backup"


@each_overlay
def test_preparations_start_with_their_environment(overlay: str, monkeypatch: pytest.MonkeyPatch):
    for name, settings in (("prepare-topics", EventSettings), ("prepare-bucket", ObjectSettings)):
        (one,) = of_kind(overlay, "Job")[name]["spec"]["template"]["spec"]["containers"]
        with monkeypatch.context() as patch:
            for key, value in {**environment(overlay, one), "EVENTS_POSTGRES_DSN": "postgresql://events"}.items():
                patch.setenv(key, value)
            read_settings(settings)


@each_overlay
@pytest.mark.parametrize("program", PROGRAMS)
def test_ports_are_the_programs_own_and_probes_ask_the_right_one(overlay: str, program: str):
    (one,) = of_kind(overlay, "Deployment")[program]["spec"]["template"]["spec"]["containers"]
    settings, field, _ = PROGRAMS[program]
    ports = {port["name"]: port["containerPort"] for port in one["ports"]}
    served = environment(overlay, one)
    main = ports["http" if program == "gateway" else "grpc"]
    assert main == settings.model_fields[field].default == int(served[field.upper()])
    assert ports["metrics"] == int(served["METRICS_PORT"])
    service = of_kind(overlay, "Service")[program]["spec"]
    assert {port["port"] for port in service["ports"]} == {main, ports["metrics"]}
    if program == "gateway":
        paths = [one[kind]["httpGet"]["path"] for kind in ("startupProbe", "readinessProbe", "livenessProbe")]
        assert paths == ["/healthz", "/readyz", "/healthz"]
    else:
        assert service["clusterIP"] == "None", "callers take turns over the pods"
        asked = [one[kind]["grpc"] for kind in ("startupProbe", "readinessProbe", "livenessProbe")]
        assert {probe["port"] for probe in asked} == {ports["health"]} == {int(served["HEALTH_PORT"])}
        assert [probe.get("service", "") for probe in asked] == ["liveness", "", "liveness"]


@each_overlay
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_pod_is_given_the_time_that_its_drain_takes(overlay: str, program: str):
    spec = of_kind(overlay, "Deployment")[program]["spec"]["template"]["spec"]
    (one,) = spec["containers"]
    drain = float(environment(overlay, one)["DRAIN_SECONDS"])
    notice = one["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert spec["terminationGracePeriodSeconds"] >= notice + drain + STOP_MARGIN_SECONDS
    strategy = of_kind(overlay, "Deployment")[program]["spec"]["strategy"]["rollingUpdate"]
    assert strategy["maxUnavailable"] == 0


@each_overlay
def test_what_is_selected_exists(overlay: str):
    labels = [template["metadata"]["labels"] for _, template in pods(overlay)]

    def is_met(selector: Mapping[str, str]) -> bool:
        return any(selector.items() <= one.items() for one in labels)

    for name, one in of_kind(overlay, "Service").items():
        assert is_met(one["spec"]["selector"]), name
    for name, one in of_kind(overlay, "PodDisruptionBudget").items():
        assert is_met(one["spec"]["selector"]["matchLabels"]), name
    for name, one in of_kind(overlay, "HorizontalPodAutoscaler").items():
        assert one["spec"]["scaleTargetRef"]["name"] in of_kind(overlay, "Deployment"), name
        assert "replicas" not in of_kind(overlay, "Deployment")[name]["spec"], "two would set the number"
    for name, template in pods(overlay):
        account = template["spec"].get("serviceAccountName")
        assert account is None or account in of_kind(overlay, "ServiceAccount"), name
    for one in of_kind(overlay, "ServiceMonitor").values():
        chosen = one["spec"]["selector"]["matchLabels"]
        assert any(
            chosen.items() <= service["metadata"]["labels"].items() for service in of_kind(overlay, "Service").values()
        )


@each_overlay
def test_nothing_is_reachable_that_no_policy_opens(overlay: str):
    policies = of_kind(overlay, "NetworkPolicy")
    denied = policies["default-deny"]["spec"]
    assert denied["podSelector"] == {}
    assert set(denied["policyTypes"]) == {"Ingress", "Egress"}
    assert not denied.get("ingress")
    assert not denied.get("egress")
    for program in PROGRAMS:
        opened = {port["port"] for rule in policies[program]["spec"]["ingress"] for port in rule["ports"]}
        (one,) = of_kind(overlay, "Deployment")[program]["spec"]["template"]["spec"]["containers"]
        assert opened == {port["containerPort"] for port in one["ports"]} - {9101}
        assert all(rule.get("from") for rule in policies[program]["spec"]["ingress"]), "from everywhere"


def test_kafka_has_the_topics_of_the_protos():
    made = {name: one["spec"] for name, one in of_kind("production", "KafkaTopic").items()}
    wanted = dict.fromkeys(topics(), RETENTION) | {
        name + DEAD_LETTER_SUFFIX: DEAD_LETTER_RETENTION for name in topics()
    }
    assert set(made) == set(wanted)
    for name, spec in made.items():
        assert spec["partitions"] == PARTITIONS
        assert spec["config"]["retention.ms"] == wanted[name].total_seconds() * 1000


@pytest.mark.parametrize("program", PROGRAMS)
def test_certificates_carry_the_names_that_programs_are_known_by(program: str):
    spec = of_kind("production", "Certificate")[f"{program}-tls"]["spec"]
    assert spec["commonName"] == PROGRAMS[program][2]
    assert program in spec["dnsNames"]


@pytest.mark.parametrize("component", sorted(one.name for one in (manifests.FOLDER / "components").iterdir()))
def test_a_component_can_be_left_out_and_taken_alone(component: str, tmp_path: Path):
    kubectl = manifests.find_kubectl()
    if kubectl is None:
        pytest.skip("kubectl is not here: ./taskw k8s:check fetches it")
    home = tmp_path / "k8s"
    home.symlink_to(manifests.FOLDER)
    others = sorted(one.name for one in (manifests.FOLDER / "components").iterdir())
    for chosen in ([component], [one for one in others if one != component]):
        folder = tmp_path / f"overlay-{len(chosen)}"
        folder.mkdir()
        listed = ", ".join(f"../k8s/components/{one}" for one in chosen)
        (folder / "kustomization.yaml").write_text(
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
            f"resources: [../k8s/base]\ncomponents: [{listed}]\n"
        )
        assert list(manifests.problems(manifests.render_folder(folder, kubectl))) == []
