"""compose/ as far as it can be checked without Docker: its schema, its settings, its files, its metrics."""

import io
import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from ruamel.yaml import YAML

from streams.local.kafka_jars import kafka_version, pom_path
from streams.settings.model import Settings
from streams.telemetry.catalogue import CATALOGUE

COMPOSE = Path(__file__).parents[2] / "compose"
ROOT = COMPOSE.parent


def read_yaml(path: Path) -> Any:
    return YAML(typ="safe").load(io.StringIO(path.read_text()))


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = read_yaml(COMPOSE / "docker-compose.yml")
    return loaded


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = compose["services"]
    return found


def settings_names() -> set[str]:
    """Every environment variable that a scalar setting has."""
    names = set()
    for section in msgspec.structs.fields(Settings):
        if isinstance(section.type, type) and issubclass(section.type, msgspec.Struct):
            names |= {
                f"KOTAE_{section.name}__{field.name}".upper()
                for field in msgspec.structs.fields(section.type)
            }
    return names


def test_the_file_follows_the_compose_schema(compose: dict[str, Any]) -> None:
    vendored = resources.files("check_jsonschema.builtin_schemas.vendor") / "compose-spec.json"
    jsonschema.validate(compose, json.loads(vendored.read_text()))


def test_every_setting_is_known(services: dict[str, dict[str, Any]]) -> None:
    known = settings_names()
    used = {name for service in services.values() for name in service.get("environment", {})}
    dockerfile = set(re.findall(r"KOTAE_\w+", (COMPOSE / "Dockerfile").read_text()))
    ours = {name for name in used | dockerfile if name.startswith("KOTAE_")}
    assert ours <= known
    assert {"KOTAE_KAFKA__BOOTSTRAP_SERVERS", "KOTAE_MODEL__BASE_URL", "KOTAE_WORKER__HTTP_HOST"} <= ours


def test_addresses_ports_and_times_of_the_services_match(services: dict[str, dict[str, Any]]) -> None:
    worker, kafka = services["worker"], services["kafka"]["environment"]
    advertised = dict(part.split("://") for part in kafka["KAFKA_ADVERTISED_LISTENERS"].split(","))
    assert worker["environment"]["KOTAE_KAFKA__BOOTSTRAP_SERVERS"] == advertised["INSIDE"]
    assert services["topics"]["environment"]["KOTAE_KAFKA__BOOTSTRAP_SERVERS"] == advertised["INSIDE"]
    assert services["kafka"]["ports"] == [f"{advertised['OUTSIDE']}:9092"]
    assert int(worker["stop_grace_period"].rstrip("s")) > int(worker["environment"]["KOTAE_WORKER__GRACE_S"])
    assert kafka["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    port = services["offline-model"]["command"][-1]
    assert f"http://offline-model:{port}/v1" in worker["environment"]["KOTAE_MODEL__BASE_URL"]
    default_port = Settings().worker.http_port
    [job] = read_yaml(COMPOSE / "prometheus" / "prometheus.yml")["scrape_configs"]
    [discovery] = job["dns_sd_configs"]
    assert (discovery["names"], discovery["port"]) == (["worker"], default_port)
    assert f"127.0.0.1:{default_port}/health/live" in (COMPOSE / "Dockerfile").read_text()


def test_every_mounted_or_copied_path_exists(
    compose: dict[str, Any], services: dict[str, dict[str, Any]]
) -> None:
    for service in services.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (COMPOSE / source).exists(), source
            else:
                assert source in compose["volumes"]
        if "build" in service:
            assert (COMPOSE / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
    ignored = (COMPOSE / "Dockerfile.dockerignore").read_text().splitlines()
    for line in re.findall(r"^COPY (?!--from)(.+) \S+$", (COMPOSE / "Dockerfile").read_text(), re.MULTILINE):
        for source in line.split():
            assert (ROOT / source).exists(), source
            assert f"!{source}" in ignored, f"{source} is not in the build's context"


def test_images_are_pinned_and_kafka_is_the_one_that_is_tested(services: dict[str, dict[str, Any]]) -> None:
    images = {service["image"] for service in services.values()} - {"kotae:local"}
    images |= set(re.findall(r"^FROM (\S+)", (COMPOSE / "Dockerfile").read_text(), re.MULTILINE))
    for image in images:
        assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+(-[\w.-]+)?", image), image
    assert services["kafka"]["image"] == f"apache/kafka:{kafka_version(pom_path())}"


def test_our_containers_run_without_rights(services: dict[str, dict[str, Any]]) -> None:
    for service in services.values():
        if service["image"] == "kotae:local":
            assert service["read_only"] is True
            assert service["cap_drop"] == ["ALL"]
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), "only this machine may reach it"
    assert "USER 10001" in (COMPOSE / "Dockerfile").read_text()
    assert "--require-hashes" in (COMPOSE / "Dockerfile").read_text()


def test_services_wait_only_for_services_that_exist_and_check_their_health(
    services: dict[str, dict[str, Any]],
) -> None:
    for name, service in services.items():
        waits = service.get("depends_on", {})
        for other in waits:
            assert other in services, f"{name} waits for {other}"
            condition = waits[other]["condition"] if isinstance(waits, dict) else "service_started"
            if condition == "service_healthy":
                assert "test" in services[other]["healthcheck"]


def test_the_dashboard_uses_only_metrics_of_the_catalogue() -> None:
    dashboard = json.loads((COMPOSE / "grafana" / "dashboards" / "kotae.json").read_text())
    [source] = read_yaml(COMPOSE / "grafana" / "provisioning" / "datasources" / "prometheus.yml")[
        "datasources"
    ]
    shown = set()
    for metric in CATALOGUE:
        shown |= {f"{metric.name}_bucket"} if metric.kind == "histogram" else {metric.name}
    labels = {label for metric in CATALOGUE for label in metric.labels}
    for panel in dashboard["panels"]:
        assert panel["datasource"]["uid"] == source["uid"]
        for target in panel["targets"]:
            used = set(re.findall(r"kotae_\w+", target["expr"]))
            assert used <= shown, target["expr"]
            assert used or "process_" in target["expr"]
            for grouped in re.findall(r"by \(([^)]*)\)", target["expr"]):
                assert set(grouped.split(", ")) <= labels | {"le"}


def test_grafana_finds_its_dashboards(services: dict[str, dict[str, Any]]) -> None:
    [provider] = read_yaml(COMPOSE / "grafana" / "provisioning" / "dashboards" / "kotae.yml")["providers"]
    mounts = dict(volume.split(":")[:2] for volume in services["grafana"]["volumes"])
    assert mounts["./grafana/dashboards"] == provider["options"]["path"]
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/kotae.json"
