"""`llama-orch doctor`: what is shown, what is a problem, and that each problem comes with its remedy."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reference_server.config import Config
from reference_server.config_file import parse
from reference_server.doctor import Finding, examine
from reference_server.domain.devices import Gpu
from reference_server.provision import cache
from reference_server.provision.tests.programs import Programs

GPU = Gpu(index=0, uuid="GPU-0", name="A card", vram_total=2**34, vram_used=2**33)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "reference_server", "doctor", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def examined(text: str, tmp_path: Path, *, gpus: tuple[Gpu, ...] = ()) -> list[Finding]:
    return examine(parse(text.replace("FOLDER", str(tmp_path)), name="c"), gpus)


def problems(findings: list[Finding]) -> dict[str, str]:
    return {finding.detail: finding.remedy for finding in findings if finding.status == "problem"}


@pytest.mark.req("ORCH-3209")
def test_without_a_configuration_it_shows_everything_as_json_changes_nothing_and_passes(own_cache: Path) -> None:
    done = run("--json")
    shown: dict[str, Any] = json.loads(done.stdout)

    assert (0, True) == (done.returncode, shown["ok"])
    areas = {finding["area"] for finding in shown["findings"]}
    assert {"host", "tools", "containers", "gpu", "cache", "engines", "models"} == areas
    tools = {finding["name"]: finding for finding in shown["findings"] if finding["area"] == "tools"}
    assert "ok" == tools["python venv"]["status"]
    assert [] == list(own_cache.iterdir())


@pytest.mark.req("ORCH-3209")
def test_for_people_it_ends_with_the_number_of_problems_and_fails_on_any(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("ports: 1")
    done = run("--config", str(tmp_path / "c.yaml"))

    assert 1 == done.returncode
    assert "PROBLEM config" in done.stdout
    assert "did you mean `port`?" in done.stdout
    assert "remedy: contracts/config/examples/full.yaml" in done.stdout
    assert "1 problem found" == done.stdout.splitlines()[-1]
    assert 2 == run("--colour").returncode


@pytest.mark.req("ORCH-3202", "ORCH-3209")
def test_every_tool_that_a_pool_needs_and_is_missing_is_a_problem_with_the_command_that_brings_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("reference_server.provision.distro.family", lambda: "debian")
    mode = "{mode: source, cuda: 'on', git: 'https://a.example/r', commit: '" + "0" * 40 + "'}"
    pool = f"{{provisioning: {mode}, replicas: [{{kind: supervised, devices: [0], model_file: FOLDER}}]}}"
    monkeypatch.setattr("reference_server.provision.tools.where", lambda tool: None)

    found = problems(examined(f"pools: [{pool}]", tmp_path, gpus=(GPU,)))
    remedies = {detail.rpartition(": ")[2]: remedy for detail, remedy in found.items()}
    assert {
        "c++ is missing": "apt-get install -y g++",
        "ninja or make is missing": "apt-get install -y ninja-build",
        "git is missing": "apt-get install -y git",
        "nvcc is missing": "apt-get install -y nvidia-cuda-toolkit",
    } == remedies


@pytest.mark.req("ORCH-3209")
@pytest.mark.parametrize(
    ("pool", "other", "says", "remedy"),
    [
        (
            "{replicas: [{kind: supervised, model_file: FOLDER, devices: [3]}]}",
            "",
            "GPU 3 is not there",
            "name devices",
        ),
        ("{replicas: [{kind: supervised, model_file: /none}]}", "", "`model_file` /none is not there", "name another"),
        ("{replicas: [{kind: supervised, binary: /none, model_file: FOLDER}]}", "", "`binary` /none", "name another"),
        ("{replicas: [{kind: supervised}]}", "", "default names no file", "--with-model"),
        ("{model_ref: 'file:/none', replicas: [{kind: supervised}]}", "", "/none is not there", "name another"),
        ("{model_ref: 's3:x', replicas: [{kind: supervised}]}", "", "no s3 reference", "models fetch --help"),
        (
            "{model_ref: 'hf:a/b/c.gguf', replicas: [{kind: supervised}]}",
            "models: {fetch: false},",
            "`models.fetch` is off",
            "models fetch hf:a/b/c.gguf",
        ),
        (
            "{replicas: [{kind: supervised, model_file: FOLDER}]}",
            "engines: {provision: false},",
            "`engines.provision` is off",
            "engines --config FILE install",
        ),
        (
            "{provisioning: {mode: source, version: b1}, replicas: [{kind: supervised, model_file: FOLDER}]}",
            "",
            "b1 is pinned",
            "change the pool's `provisioning`",
        ),
    ],
)
def test_what_a_configuration_lacks_is_a_problem(tmp_path: Path, pool: str, other: str, says: str, remedy: str) -> None:
    found = problems(examined(f"{{{other} experimental_cpu: true, pools: [{pool}]}}", tmp_path, gpus=(GPU,)))

    matching = {detail: what for detail, what in found.items() if says in detail}
    assert matching, found
    assert all(remedy in what for what in matching.values()), matching
    assert all(found.values())


@pytest.mark.req("ORCH-3209")
def test_what_is_brought_at_the_first_start_is_none(tmp_path: Path) -> None:
    pool = "{model_ref: 'hf:a/b/c.gguf', replicas: [{kind: supervised, devices: [0]}]}"

    found = examined(f"pools: [{pool}, {{id: b, replicas: [{{kind: mock}}]}}]", tmp_path, gpus=(GPU,))
    details = " ".join(finding.detail for finding in found if finding.area == "pools")
    assert {} == problems(found)
    assert "is brought at the first start" in details
    assert "is fetched at the first start" in details
    assert "a stand-in, no real engine" in details


@pytest.mark.req("ORCH-3209")
def test_an_install_that_has_lost_its_program_is_a_problem() -> None:
    folder = cache.root() / "engines" / "llamacpp" / "b1"
    folder.mkdir(parents=True)
    manifest = {"engine": "llamacpp", "version": "b1", "binary": str(folder / "gone")}
    (folder / "manifest.json").write_text(json.dumps(manifest))

    (remedy,) = problems(examine(None, ())).values()
    assert "install it again" in remedy


@pytest.mark.req("ORCH-3209")
def test_stand_in_runtimes_and_gpus_are_shown_with_their_versions(programs: Programs) -> None:
    programs.add_runtime("docker")

    found = {finding.name: finding for finding in examine(Config(), (GPU,))}
    assert ("ok", True) == (found["docker"].status, found["docker"].detail.startswith("28.0.1, "))
    assert "A card, 8192 of 16384 MiB free" == found["GPU 0"].detail


@pytest.mark.req("ORCH-3013", "ORCH-3209")
def test_where_gpus_are_attached_is_shown_and_that_a_split_is_over_two_roots(tmp_path: Path) -> None:
    first = replace(GPU, numa_node=0, cpus=(0, 1), pci_root="pci0000:00")
    second = replace(GPU, index=1, pci_root="pci0000:80")
    replica = "{kind: supervised, devices: [0, 1], tensor_split: [0.5, 0.5]}"
    found = examined(f"pools: [{{id: p, replicas: [{replica}]}}]", tmp_path, gpus=(first, second))

    shown = {finding.name: finding.detail for finding in found}
    assert shown["GPU 0"].endswith("MiB free, NUMA node 0 with 2 CPUs, under PCIe root pci0000:00")
    assert shown["GPU 1"].endswith("MiB free, under PCIe root pci0000:80")
    assert "several PCIe roots" in shown["p-0"]
