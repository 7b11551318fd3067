"""The house itself: what each package offers, what it may import, what files may say, what make can do."""

import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ringwatch import run

ROOT = Path(__file__).resolve().parents[1]

EXPORTS = {
    "graph_etl": [
        "AppendError",
        "AttributeInfo",
        "BuildReport",
        "CSR",
        "Content",
        "DataError",
        "Forgotten",
        "HashKeyError",
        "Hasher",
        "IdentifierError",
        "JournalOrderError",
        "JournalReader",
        "JournalRow",
        "JournalRowError",
        "KindInfo",
        "LiveCut",
        "LiveErasure",
        "LiveEvent",
        "LiveSwitch",
        "LiveVerdict",
        "NO_HUB",
        "NO_TIME",
        "Publication",
        "Relation",
        "ReportTable",
        "RingwatchError",
        "Snapshot",
        "SnapshotError",
        "SourceCount",
        "Spec",
        "SpecError",
        "TooManyQuarantined",
        "Workspace",
        "WorkspaceError",
        "build",
        "decode",
        "encode",
        "entity_key",
        "forget",
        "kind_of",
        "load_spec",
    ],
    "graph_etl.bounded": ["Bounds", "merge_bounded"],
    "graph_etl.neo4j_store": [
        "Comparison",
        "Difference",
        "ExportReport",
        "FollowReport",
        "GraphStoreError",
        "Lag",
        "LoadCounts",
        "LoadReport",
        "Parameter",
        "Query",
        "Results",
        "Target",
        "VerifyReport",
        "WriteBackReport",
        "connect",
        "expected_bytes",
        "export",
        "follow",
        "load",
        "queries",
        "query",
        "run_query",
        "session",
        "verify",
        "write_back",
    ],
    "graph_etl.neo4j_store.browser": [
        "BrowserFiles",
        "Examples",
        "FOLDER",
        "find_examples",
        "guide_html",
        "saved_queries",
        "serve_browser_files",
        "style_sheet",
        "write_folder",
    ],
    "graph_etl.spec": [
        "ACCOUNT",
        "ANY_LABEL",
        "AccountIds",
        "AccountMapping",
        "Attribute",
        "Endpoint",
        "EventMapping",
        "FoldMapping",
        "GroupMapping",
        "JOURNAL",
        "Kind",
        "ROW",
        "Source",
        "Spec",
        "SplitMapping",
        "TimeColumn",
        "Times",
        "TypeRule",
        "VerdictMapping",
        "duration_ms",
        "load_spec",
        "parse_spec",
    ],
    "graph_etl.simulate": ["SimulatedPlatform", "SimulationConfig", "load_simulation", "simulate"],
    "features": [
        "CONTACT_FEATURES",
        "Contact",
        "FeatureSpec",
        "GraphView",
        "KnownBad",
        "LiveGraph",
        "LiveGraphFull",
        "LiveOrderError",
        "MomentError",
        "Queries",
        "REPUTATION_FEATURES",
        "Registry",
        "Reputation",
        "Side",
        "Source",
        "asked_of",
        "compute",
        "contact",
        "extras_of",
        "graph_of",
        "known_bad_of",
        "last_time_ms",
        "moment_ms",
        "profiles",
        "registry_of",
        "reputation",
        "view_of",
    ],
    "rings": [
        "CommunityConfig",
        "Epoch",
        "LINK_FEATURES",
        "LinkConfig",
        "Links",
        "RingUnknown",
        "RingsError",
        "RingsRun",
        "around_specs",
        "community_specs",
        "epoch_at",
        "epoch_horizons",
        "epochs_of",
        "find",
        "link_features",
        "links",
        "neighbourhoods",
    ],
    "gnn": [
        "Bundle",
        "BundleError",
        "REASON_CATALOGUE",
        "Reason",
        "ReasonKind",
        "ScoreResult",
        "Scorer",
        "reasons",
        "train",
    ],
    "scoring_service": ["Policy", "ServiceSettings", "create_app", "decisions", "load_policy", "serve"],
    "scoring_service.database": [
        "Database",
        "HEAD",
        "STATE_FILE",
        "StoreUnavailable",
        "StoreVersion",
        "state_place",
    ],
    "scoring_service.journal": [
        "Answered",
        "CommitFigures",
        "Entry",
        "GroupCommit",
        "IdempotencyConflict",
        "IdempotencyUse",
        "Journal",
        "JournalInUse",
        "JournalMissing",
        "JournalUnavailable",
        "Kept",
        "Receipt",
        "Remembered",
        "Retained",
        "RetentionRule",
        "follow",
    ],
    "scoring_service.keys": [
        "ApiKey",
        "ApiKeyError",
        "KeyNameInvalid",
        "KeyNameTaken",
        "KeyRepository",
        "KeyRing",
        "KeyUnknown",
        "SCOPES",
        "ScopeInvalid",
    ],
    "ray_jobs": [
        "RayMissing",
        "SageSettings",
        "embed_over_ray",
        "etl_over_ray",
        "rings_over_ray",
        "score_accounts",
        "score_here",
        "score_over_ray",
        "train_over_ray",
    ],
    "ringwatch": ["run"],
}

# None in sys.modules is what Python itself takes for "not installed".
BARE_IMPORT = """
import sys
sys.modules.update(dict.fromkeys({refused!r}))
import {package}
print(sorted(name for name in {refused!r} if sys.modules.get(name) is not None))
"""

TEXT_ENDINGS = {
    "",
    ".py",
    ".md",
    ".toml",
    ".yml",
    ".yaml",
    ".txt",
    ".json",
    ".html",
    ".js",
    ".css",
    ".svg",
    ".sh",
    ".cfg",
}
# Pieces, so that this file does not hold what it looks for.
REGISTRIES = re.compile(
    "|".join(
        rf"(?<![\w-])(?:[\w-]+\.)*{name}\.{end}\b"
        for name, end in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("crates", "io"))
    )
    + r"|--(?:extra-)?index-url|--find-links"
)
MACHINE_PATHS = re.compile(r"(?<![\w.~/-])/(?:home|Users|root|tmp|work|mnt|srv)/[\w.-]+")


def tracked_files() -> list[Path]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def tracked_texts() -> list[tuple[Path, str]]:
    files = [path for path in tracked_files() if path.suffix in TEXT_ENDINGS]
    assert len(files) > 100
    return [(path.relative_to(ROOT), path.read_text(encoding="utf-8")) for path in files]


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("package", EXPORTS)
def test_the_public_names_of_a_package_are_pinned(package: str) -> None:
    module = importlib.import_module(package)
    assert sorted(module.__all__) == EXPORTS[package]
    assert all(hasattr(module, name) for name in module.__all__)


@pytest.mark.parametrize(
    "package", ["graph_etl", "features", "rings", "graph_etl.build", "graph_etl.simulate"]
)
def test_rooms_up_to_rings_import_without_torch_ray_and_neo4j(package: str) -> None:
    refused = {"torch", "torch_geometric", "ray", "neo4j", "dgl"}
    program = BARE_IMPORT.format(package=package, refused=refused)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_the_service_and_batch_scoring_load_no_ray() -> None:
    program = BARE_IMPORT.format(package="scoring_service, ray_jobs", refused={"ray", "neo4j", "dgl"})
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_import_contracts_hold() -> None:
    command = [
        sys.executable,
        "-c",
        "import sys; from importlinter.cli import lint_imports_command as c; sys.exit(c())",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 kept, 0 broken" in done.stdout


def test_no_package_is_a_drawer_for_everything() -> None:
    banned = {"utils", "helpers", "common", "core", "manager", "misc"}
    named = {
        part
        for path in tracked_files()
        if path.suffix == ".py"
        for part in path.relative_to(ROOT).with_suffix("").parts
    }
    assert not banned & named


def test_no_file_names_a_package_index() -> None:
    allowed = {Path("tests/test_house.py"), Path("CONTRIBUTING.md")}  # these say that nothing else may
    found = [
        f"{path}: {match[0]}"
        for path, text in tracked_texts()
        for match in REGISTRIES.finditer(text)
        if path not in allowed
    ]
    assert found == []


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    found = [
        f"{path}: {match[0]}" for path, text in tracked_texts() for match in MACHINE_PATHS.finditer(text)
    ]
    assert found == []


def test_pins_are_plain_versions() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert len(lines) > 100
    assert all(re.fullmatch(r"[a-z0-9-]+==[^ ;]+( ; .+)?", line) for line in lines)


def test_every_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(one for extra in project["optional-dependencies"].values() for one in extra),
    ]
    names = {re.split(r"[<>=\[; ]", one, maxsplit=1)[0].lower() for one in wanted}
    pinned = {line.partition("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert names <= pinned


def test_every_core_dependency_is_imported() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module_of = {
        "scikit-learn": "sklearn",
        "torch-geometric": "torch_geometric",
        "pyyaml": "yaml",
        "pydantic-settings": "pydantic_settings",
    }
    packages = importlib.import_module("tomllib").loads((ROOT / "pyproject.toml").read_text())["tool"][
        "hatch"
    ]["build"]["targets"]["wheel"]["packages"]
    source = "\n".join(
        text for path, text in tracked_texts() if path.parts[0] in packages and path.suffix == ".py"
    )
    for requirement in project["dependencies"]:
        name = re.split(r"[<>=]", requirement)[0]
        module = module_of.get(name, name)
        assert re.search(rf"^\s*(import|from) {module}\b", source, re.MULTILINE), (
            f"{name} is imported nowhere"
        )


def test_make_help_lists_every_target() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = set(re.findall(r"^  make ([a-z0-9-]+)", done.stdout, re.MULTILINE))
    assert listed == make_targets()
    assert {"setup", "demo", "test", "test-all", "lint", "bench", "serve", "help"} <= listed


def test_continuous_integration_calls_make() -> None:
    assert "make test" in (ROOT / ".ci" / "run").read_text()
    targets = re.findall(r"target: \[(.+)\]", (ROOT / ".github" / "workflows" / "ci.yml").read_text())
    assert set(targets[0].split(", ")) <= make_targets()


@pytest.mark.parametrize(
    "document", ["README.md", "docs/cli.md", "docs/quickstart.md", "examples/game_signups/README.md"]
)
def test_every_command_that_a_document_shows_exists(document: str, capfd: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / document).read_text()
    shown = set(
        re.findall(
            r"(?:^|`|\| )ringwatch "
            r"([a-z0-9]+(?: (?:list|promote|rollback|compare|scores|rings|embeddings)\b)?)",
            text,
            re.MULTILINE,
        )
    )
    assert shown
    for command in sorted(shown):
        assert run([*command.split(), "--help"]) == 0, f"{document} shows `ringwatch {command}`"
    assert set(re.findall(r"(?:^|`)make ([a-z0-9-]+)", text, re.MULTILINE)) <= make_targets()
    capfd.readouterr()


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").glob("*.md")), ids=lambda path: path.name
)
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text())
    missing = [t for t in targets if "://" not in t and not (path.parent / t).exists()]
    assert missing == []


def test_the_demo_key_of_make_and_of_the_command_are_one() -> None:
    from ringwatch.settings import DEMO_HASH_KEY

    assert f"DEMO_KEY := {DEMO_HASH_KEY}\n" in (ROOT / "Makefile").read_text()
