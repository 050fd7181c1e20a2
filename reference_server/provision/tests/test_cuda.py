"""For CUDA or not: by what this host has. The compiler is a stand-in that tells where its toolkit is, as nvcc does."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from reference_server.config import Config
from reference_server.provision import cli, cuda_build, llamacpp, provisioner, recipes, tools
from reference_server.provision.cuda_build import WITHOUT_GPU
from reference_server.provision.errors import PreflightError
from reference_server.provision.tests.programs import Programs

ON = "-DGGML_CUDA=ON"
Host = Callable[..., None]


@pytest.fixture
def host(programs: Programs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Host:
    """Makes this host have a compiler, cuBLAS and a GPU, or not."""

    def has(*, nvcc: bool = True, cublas: bool = True, gpu: bool = False) -> None:
        toolkit = tmp_path / "cuda"
        (toolkit / "targets" / "x86_64-linux" / "lib").mkdir(parents=True)
        if nvcc:
            told = f"#$ _HERE_={toolkit}/bin\n#$ TOP={toolkit}/bin/.."
            programs.add("the-nvcc-of-this-test", f"print({told!r}, file=sys.stderr)")
        if cublas:
            (toolkit / "targets" / "x86_64-linux" / "lib" / "libcublas.so").touch()
        monkeypatch.setattr(tools, "NVCC", replace(tools.NVCC, programs=("the-nvcc-of-this-test",)))
        monkeypatch.setattr(tools, "has_gpu", lambda: gpu)
        monkeypatch.setattr(cuda_build, "SYSTEM_LIBRARIES", ())

    return has


def flags_of(**asked: object) -> list[str]:
    """Those of CUDA in the command that configures."""
    command = llamacpp.recipe(**asked).plan().steps[0].command  # type: ignore[arg-type]
    return [part for part in command if "CUDA" in part]


@pytest.mark.req("OC-CONFIG-6031", "ORCH-3201")
@pytest.mark.parametrize(
    ("has", "flags", "why"),
    [
        ({"gpu": True}, [ON], "CUDA: yes, nvcc and cuBLAS are here, for the GPUs of this host"),
        ({}, [ON, *WITHOUT_GPU], "CUDA: yes, nvcc and cuBLAS are here; no GPU is here, so"),
        ({"cublas": False, "gpu": True}, [], "CUDA: no, nvcc is here, and cuBLAS is not in its toolkit"),
        ({"nvcc": False, "gpu": True}, [], "CUDA: no, nvcc is missing"),
    ],
)
def test_cuda_is_switched_on_by_itself_where_its_compiler_and_library_are(
    host: Host, has: dict[str, bool], flags: list[str], why: str
) -> None:
    host(**has)

    assert flags == flags_of()
    assert llamacpp.recipe().plan().choices[0].startswith(why)


@pytest.mark.req("OC-CONFIG-6031")
def test_cuda_can_be_switched_off_and_then_nothing_of_it_is_in_the_plan(host: Host) -> None:
    host(gpu=True)

    assert [] == flags_of(cuda="off")
    assert ("CUDA: no, it is switched off (`cuda: off`)",) == llamacpp.recipe(cuda="off").plan().choices
    assert "nvcc" not in llamacpp.recipe(cuda="off").plan().tools


@pytest.mark.req("OC-CONFIG-6031")
def test_architectures_that_the_operator_names_are_the_only_ones(host: Host) -> None:
    host()

    named = "-DCMAKE_CUDA_ARCHITECTURES=90"
    assert [named, ON, "-DGGML_CUDA_NO_VMM=ON"] == flags_of(flags=(named,))


@pytest.mark.req("ORCH-3202", "OC-CONFIG-6031")
def test_a_library_that_cuda_lacks_is_named_before_anything_is_fetched(host: Host) -> None:
    host(cublas=False)

    with pytest.raises(PreflightError, match=r"cuBLAS is not in its toolkit .*/cuda\) \(remedy: install the cuBLAS"):
        provisioner.install(llamacpp.recipe(cuda="on"))


@pytest.mark.req("OC-CONFIG-6031")
@pytest.mark.parametrize(("written", "is_on"), [("on", True), ("off", False), ("'on'", True), ("'off'", False)])
def test_a_bare_on_or_off_of_yaml_means_the_same_as_the_word(host: Host, written: str, is_on: bool) -> None:
    host()
    replicas = "[{kind: supervised, devices: [0]}]"
    provisioning = f"{{mode: source, cuda: {written}}}"
    config = msgspec.yaml.decode(f"pools: [{{provisioning: {provisioning}, replicas: {replicas}}}]", type=Config)

    recipe = recipes.of(config.pools[0])
    assert recipe is not None
    assert is_on == (ON in recipe.plan().steps[0].command)


@pytest.mark.req("OC-CONFIG-6031", "ORCH-3206")
def test_the_command_line_shows_what_was_decided_and_can_decide_otherwise(host: Host) -> None:
    host()

    shown = CliRunner().invoke(cli.app, ["plan", "llamacpp"]).output
    off = json.loads(CliRunner().invoke(cli.app, ["plan", "llamacpp", "--cuda", "off", "--json"]).output)
    assert "CUDA: yes, nvcc and cuBLAS are here; no GPU is here" in shown
    assert ON in shown
    assert ON not in off["steps"][0]["command"]
    assert 2 == CliRunner().invoke(cli.app, ["plan", "vllm", "--cuda", "off"]).exit_code


@pytest.mark.req("OC-CONFIG-6031")
@pytest.mark.parametrize("body", ["sys.exit(1)", "print('no toolkit', file=sys.stderr)", "os.kill(os.getpid(), 9)"])
def test_a_compiler_that_does_not_tell_of_its_toolkit_is_not_built_with(
    host: Host, programs: Programs, body: str
) -> None:
    host(nvcc=False)
    programs.add("the-nvcc-of-this-test", body)

    assert [] == flags_of()
    assert "which it does not name" in llamacpp.recipe().plan().choices[0]
