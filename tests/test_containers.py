"""docker-compose.yml and deploy/: what they name exists, and nothing is open that need not be."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from graph_etl.identifiers import HASH_KEY_VARIABLE
from graph_etl.neo4j_store import Target, connect, session
from ringwatch import run
from ringwatch.settings import Neo4jSettings, Settings
from scoring_service import ServiceSettings

ROOT = Path(__file__).resolve().parents[1]
RECIPE = (ROOT / "deploy" / "Dockerfile").read_text()
SETUP = ROOT / "deploy" / "setup.sh"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("setup", "ringwatch", "follow")
# What libpq, which asks Postgres for us, reads by itself.
OF_POSTGRES = {"PGPASSWORD"}
SECRETS = {HASH_KEY_VARIABLE, "POSTGRES_PASSWORD", "PGPASSWORD", "NEO4J_AUTH", "NEO4J_PASSWORD"}


def known_variables() -> set[str]:
    ours = {*ServiceSettings.model_fields, *Settings.model_fields}
    names = {f"RINGWATCH_{name}".upper() for name in ours}
    return names | {HASH_KEY_VARIABLE} | {f"NEO4J_{name}".upper() for name in Neo4jSettings.model_fields}


def instructions(word: str) -> list[str]:
    joined = re.sub(r"\\\n\s*", "", RECIPE)
    return re.findall(rf"^{word} (.+)$", joined, re.MULTILINE)


def copied() -> list[str]:
    """What the recipe copies out of the checkout."""
    lines = [line for line in instructions("COPY") if "--from=" not in line]
    return [path for line in lines for path in re.sub(r"--\S+ ", "", line).split()[:-1]]


def test_the_image_holds_every_package_and_knows_its_settings() -> None:
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"][
        "wheel"
    ]["packages"]
    assert set(re.findall(r"^COPY (\S+) \1$", RECIPE, re.MULTILINE)) == set(packages)
    names = {name for line in instructions("ENV") for name in re.findall(r"(\w+)=", line)}
    assert "RINGWATCH_WORKSPACE" in names
    assert names - {"PATH", "XDG_CACHE_HOME"} <= known_variables()


def test_what_is_copied_exists_and_nothing_else_is_sent_to_the_builder() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    sent = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert set(copied()) == sent
    tracked = subprocess.run(
        ["git", "ls-files", "--", *sent], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    for path in sent:
        assert any(name == path or name.startswith(f"{path}/") for name in tracked), path


def test_the_image_runs_as_nobody_special_and_says_how_it_is() -> None:
    last = RECIPE.rpartition("\nFROM ")[2]
    users = re.findall(r"^USER (\S+)$", last, re.MULTILINE)
    assert users == ["10001"]
    assert "useradd --uid 10001 " in last
    assert re.search(r"^HEALTHCHECK .*\n?.*/readyz", last, re.MULTILINE)
    assert not re.search(r"PASSWORD|SECRET|TOKEN|HASH_KEY", RECIPE)
    assert all(":" in image and "latest" not in image for image in instructions("FROM"))


def test_what_others_wrote_is_pinned() -> None:
    installs = [line for line in instructions("RUN") if "uv pip install" in line]
    assert len(installs) == 2
    for line in installs:
        assert "--constraint constraints.txt" in line or "--no-deps" in line
    extras = set(re.findall(r"--extra (\w+)", installs[0]))
    assert extras == {"neo4j", "postgres", "ray"}
    assert extras <= set(
        tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    )


def test_every_command_of_the_containers_exists(capfd: pytest.CaptureFixture[str]) -> None:
    subprocess.run(["sh", "-n", str(SETUP)], check=True)
    started = [yaml.safe_load(line) for line in instructions("CMD")]
    started += [service["command"] for service in SERVICES.values() if "command" in service]
    commands = {tuple(words[1:]) for words in started if words[0] == "ringwatch"}
    shown = re.findall(r"^\s*(?:if )?ringwatch ([a-z0-9]+(?: [a-z-]+)?)", SETUP.read_text(), re.MULTILINE)
    commands |= {tuple(words.split()) for words in shown}
    assert {
        ("serve",),
        ("build",),
        ("keys", "create"),
        ("neo4j", "load"),
        ("neo4j", "write-back"),
    } <= commands
    for words in commands:
        assert run([*words, "--help"]) == 0, words
    capfd.readouterr()
    name = SERVICES["setup"]["command"][0]
    assert f"deploy/setup.sh /opt/ringwatch/bin/{name}" in RECIPE
    assert SETUP.stat().st_mode & 0o111


def test_compose_opens_ports_on_this_machine_alone() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert len(ports) == 3
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert "ports" not in SERVICES["postgres"]
    assert all("network_mode" not in service and "privileged" not in service for service in SERVICES.values())


def test_compose_has_no_password_of_its_own() -> None:
    for service in SERVICES.values():
        for name, value in service["environment"].items():
            if name in SECRETS:
                assert re.fullmatch(r"(neo4j/)?\$\{[A-Z0-9_]+:\?[^}]+\}", value), name
            else:
                assert not re.search(r"://[^@/]*:[^@/]*@", str(value)), name
    assert SECRETS == {name for one in SERVICES.values() for name in one["environment"]} & SECRETS


def test_compose_names_only_variables_that_somebody_reads() -> None:
    for name in OURS:
        assert set(SERVICES[name]["environment"]) <= known_variables() | OF_POSTGRES


def test_compose_waits_for_what_it_needs() -> None:
    for name in ("neo4j", "postgres"):
        check = SERVICES[name]["healthcheck"]
        assert {"test", "interval", "timeout", "retries", "start_period"} <= set(check)
        assert SERVICES["setup"]["depends_on"][name] == {"condition": "service_healthy"}
    needed = SERVICES["ringwatch"]["depends_on"]
    assert needed["setup"] == {"condition": "service_completed_successfully"}
    assert needed["postgres"] == {"condition": "service_healthy"}
    # The service answers without Neo4j: only what fills it waits for it.
    assert "neo4j" not in needed
    assert "healthcheck" not in SERVICES["ringwatch"]  # the image's own
    assert SERVICES["follow"]["depends_on"]["ringwatch"] == {"condition": "service_healthy"}


def test_compose_keeps_what_must_last_and_lets_the_service_change_nothing() -> None:
    used = {
        mount.split(":")[0]
        for service in SERVICES.values()
        for mount in service["volumes"]
        if not mount.startswith("$")
    }
    assert used | {"workspace"} == set(COMPOSE["volumes"])
    for name in ("ringwatch", "follow"):
        assert "${RINGWATCH_FOLDER:-workspace}:/workspace:ro" in SERVICES[name]["volumes"]
    for name in OURS:
        assert SERVICES[name]["read_only"] is True
        assert SERVICES[name]["cap_drop"] == ["ALL"]
        assert (ROOT / SERVICES[name]["build"]["dockerfile"]).is_file()


def test_images_are_pinned_and_name_no_registry() -> None:
    for service in SERVICES.values():
        name, _, tag = service["image"].partition(":")
        assert "/" not in name
        assert tag not in {"", "latest"}
    assert SERVICES["neo4j"]["image"].startswith("neo4j:5.26")


def test_neo4j_knows_every_setting_that_compose_gives_it(neo4j_server: Target) -> None:
    given = [
        name.removeprefix("NEO4J_").replace("__", "\0").replace("_", ".").replace("\0", "_")
        for name in SERVICES["neo4j"]["environment"]
        if name != "NEO4J_AUTH"
    ]
    assert "server.memory.heap.max_size" in given
    with connect(neo4j_server) as driver, session(driver, neo4j_server) as opened:
        known = {row["name"] for row in opened.run("SHOW SETTINGS YIELD name")}
    assert set(given) <= known
