"""deploy/kuberay: manifests that the real APIs take, and a night that goes on where it stopped."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from graph_etl.identifiers import HASH_KEY_VARIABLE
from ray_jobs.cluster import NODE_VARIABLES
from ray_jobs.places import CACHE_VARIABLE
from ringwatch import run

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "deploy" / "kuberay"
MANIFESTS = sorted(path for path in FOLDER.glob("*.yaml") if path.name != "kustomization.yaml")
KUBERAY = "github.com/ray-project/kuberay/ray-operator"


def documents() -> list[dict[str, Any]]:
    return [one for path in MANIFESTS for one in yaml.safe_load_all(path.read_text())]


def found(value: Any, key: str) -> list[Any]:
    """All that stands under a key, anywhere."""
    if isinstance(value, dict):
        here = [value[key]] if key in value else []
        return here + [one for inner in value.values() for one in found(inner, key)]
    if isinstance(value, list):
        return [one for inner in value for one in found(inner, key)]
    return []


def test_all_pods_run_one_image_with_the_ray_that_is_tested() -> None:
    constraints = (ROOT / "constraints.txt").read_text()
    match = re.search(r"^ray==(\S+)", constraints, re.MULTILINE)
    assert match is not None
    assert set(found(documents(), "rayVersion")) == {match[1]}
    images = {one for one in found(documents(), "image") if "kubectl" not in one}
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    assert images == {f"ringwatch-ray:{version[1]}"}


def test_what_the_manifests_name_is_there() -> None:
    kustomization = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
    files = [*kustomization["resources"], *kustomization["configMapGenerator"][0]["files"]]
    assert all((FOLDER / name).is_file() for name in files)
    made = {one["metadata"]["name"] for one in documents() if one["kind"] == "ConfigMap"}
    made |= {one["name"] for one in kustomization["configMapGenerator"]}
    named = {one["name"] for key in ("configMap", "configMapRef") for one in found(documents(), key)}
    assert named == made
    claims = {one["metadata"]["name"] for one in documents() if one["kind"] == "PersistentVolumeClaim"}
    assert set(found(documents(), "claimName")) == claims


def test_pods_find_what_a_local_cluster_is_given_and_the_key_only_as_a_secret() -> None:
    data = next(one["data"] for one in documents() if one["kind"] == "ConfigMap")
    assert NODE_VARIABLES.items() <= data.items()
    assert CACHE_VARIABLE in data
    assert HASH_KEY_VARIABLE not in "".join(path.read_text() for path in MANIFESTS)
    assert {one["name"] for one in found(documents(), "secretRef")} == {"ringwatch-hash-key"}


def test_every_step_of_the_night_is_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    script = (FOLDER / "nightly.sh").read_text()
    steps = re.findall(r"^step \w+ ringwatch ((?:ray )?\w+)", script, re.MULTILINE)
    assert steps == ["ray etl", "ray train", "ray rings", "ray score"]
    for step in steps:
        assert run([*step.split(), "--help"]) == 0
    capsys.readouterr()


def test_a_night_leaves_out_what_an_earlier_try_finished(tmp_path: Path) -> None:
    """The commands are written down instead of run: which of them a try asks for is what is tested."""
    (tmp_path / "bin").mkdir()
    asked = tmp_path / "asked"
    stand_in = tmp_path / "bin" / "ringwatch"
    stand_in.write_text(f'#!/bin/sh\necho "$@" >> {asked}\n[ "$2" != "$FAILS" ]\n')
    stand_in.chmod(0o755)
    environment = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "RINGWATCH_WORKSPACE": str(tmp_path)}

    def night(name: str, **more: str) -> tuple[int, list[str]]:
        asked.write_text("")
        words = ["sh", str(FOLDER / "nightly.sh"), name]
        done = subprocess.run(words, env=environment | more, capture_output=True, text=True, check=False)
        return done.returncode, [" ".join(line.split()[:2]) for line in asked.read_text().splitlines()]

    assert night("2026-01-01", FAILS="train") == (1, ["ray etl", "ray train"])
    assert night("2026-01-01", FAILS="score") == (1, ["ray train", "ray rings", "ray score"])
    assert night("2026-01-01", FAILS="nothing") == (0, ["ray score"])
    assert night("2026-01-01", FAILS="nothing") == (0, [])
    assert night("2026-01-02", FAILS="nothing")[1] == ["ray etl", "ray train", "ray rings", "ray score"]


@pytest.fixture(scope="module")
def go() -> str:
    """The Go command; the API's types and schemas come as a Go module."""
    path = shutil.which("go")
    if path is None:
        assert not os.environ.get("CI"), "install Go: the manifests are checked by KubeRay's own types"
        pytest.skip("no Go here")
    return path


@pytest.mark.slow
def test_the_manifests_decode_strictly_into_the_types_of_the_real_apis(go: str, tmp_path: Path) -> None:
    words = [go, "run", ".", *map(str, MANIFESTS)]
    done = subprocess.run(words, cwd=FOLDER / "check", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "") or "downloading" in done.stderr
    assert len(done.stdout.splitlines()) == len(documents())
    # The check can fail: a word that the API does not know.
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text((FOLDER / "raycluster.yaml").read_text().replace("minReplicas", "leastReplicas"))
    done = subprocess.run(
        [go, "run", ".", str(wrong)], cwd=FOLDER / "check", capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "leastReplicas" in done.stdout


def closed(schema: Any) -> Any:
    """A schema that refuses what it does not name: Kubernetes drops such fields without a word."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: closed(value) for key, value in schema.items()}
    open_ended = "additionalProperties" in inner or inner.get("x-kubernetes-preserve-unknown-fields")
    if isinstance(schema.get("properties"), dict) and "type" in schema and not open_ended:
        inner["additionalProperties"] = False
    return inner


@pytest.mark.slow
def test_the_manifests_hold_to_the_schemas_of_the_crds(go: str) -> None:
    words = [go, "mod", "download", KUBERAY]
    subprocess.run(words, cwd=FOLDER / "check", check=True, capture_output=True)
    where = subprocess.run(
        [go, "list", "-m", "-f", "{{.Dir}}", KUBERAY],
        cwd=FOLDER / "check", check=True, capture_output=True, text=True,
    )  # fmt: skip
    checked = 0
    for document in documents():
        if document["apiVersion"] != "ray.io/v1":
            continue
        plural = f"{document['kind'].lower()}s"
        crd = yaml.safe_load(
            (Path(where.stdout.strip()) / "config/crd/bases" / f"ray.io_{plural}.yaml").read_text()
        )
        version = next(one for one in crd["spec"]["versions"] if one["name"] == "v1")
        schema = closed(version["schema"]["openAPIV3Schema"])
        schema["properties"]["metadata"] = {"type": "object"}
        jsonschema.Draft202012Validator(schema).validate(document)
        document["spec"]["rayClustersSpec" if document["kind"] == "RayJob" else "headGroupSpecs"] = {}
        with pytest.raises(jsonschema.ValidationError, match=r"(were|was) unexpected"):
            jsonschema.Draft202012Validator(schema).validate(document)
        checked += 1
    assert checked == 2
