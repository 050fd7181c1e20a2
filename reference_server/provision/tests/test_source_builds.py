"""The `source` mode: by archive and by git at a commit. CMake, compiler and git are real; the source is a line of C."""

import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from reference_server.policy.tests.far_end import FarEnd
from reference_server.provision import cache, llamacpp, provisioner
from reference_server.provision.errors import (
    DigestError,
    OutboundRefusedError,
    ProvisionError,
    StoppedError,
)
from reference_server.provision.source import Archive, Git
from reference_server.provision.tests.programs import CMAKE_THAT_NEVER_ENDS, Programs
from reference_server.provision.tests.test_binaries import at
from reference_server.provision.tests.test_provision import digest, leftovers, source_archive
from reference_server.provision.work import Work

IMAGE = "ghcr.io/org/engine@sha256:" + "a" * 64


@pytest.mark.req("OC-CONFIG-6022", "ORCH-3201")
def test_a_source_archive_of_the_operators_is_built_with_its_flags(far: FarEnd) -> None:
    far.answers["/src.tar.gz"] = (200, {}, source_archive())
    origin = Archive(at(far, "/src.tar.gz"), digest(source_archive()))
    recipe = llamacpp.recipe(origin, version="b9", flags=("-DGGML_NATIVE=OFF",), generator="Unix Makefiles")
    plan = recipe.plan()

    made = provisioner.install(recipe)
    assert Path(made["binary"]).is_file()
    assert ("b9", "-DGGML_NATIVE=OFF") == (made["version"], made["flags"].split()[-1])
    assert "-DLLAMA_BUILD_NUMBER=9" in made["flags"]
    assert "-G Unix Makefiles" in " ".join(plan.steps[0].command)
    log = (cache.root() / "logs" / f"llamacpp-{plan.key}.log").read_text()
    ran = [line.removeprefix("$ ") for line in log.splitlines() if line.startswith("$ ")]
    assert [" ".join(step.command) for step in plan.steps] == ran


@pytest.mark.req("OC-CONFIG-6022", "ORCH-3206")
def test_flags_cuda_and_origin_decide_the_key_of_a_build() -> None:
    origin, other = Archive("https://a/b", "sha256:" + "0" * 64), Git("https://a/b", None, "0" * 40)
    keys = {
        llamacpp.recipe(origin).plan().key,
        llamacpp.recipe(origin, flags=("-DX=1",)).plan().key,
        llamacpp.recipe(origin, cuda="on").plan().key,
        llamacpp.recipe(other).plan().key,
    }

    assert 4 == len(keys)
    assert "-DGGML_CUDA=ON" in llamacpp.recipe(origin, cuda="on").plan().steps[0].command
    assert "nvcc" in llamacpp.recipe(origin, cuda="on").plan().tools


@pytest.mark.req("OC-CONFIG-6022", "OC-CONFIG-6029", "ORCH-3201")
@pytest.mark.parametrize("ref", ["v1", None])
def test_a_commit_of_a_repository_is_built(
    far: FarEnd, repository: Callable[..., str], tmp_path: Path, ref: str | None
) -> None:
    commit = repository()
    if ref is None:
        repository("int main(void){return 1;}")  # the branch has gone on; the commit is asked for by itself

    made = provisioner.install(llamacpp.recipe(Git(str(tmp_path / "repository"), ref, commit)))
    assert 0 == subprocess.run([made["binary"]], check=False).returncode
    assert commit[:12] == made["version"]
    assert [] == [
        path for path in Path(made["binary"]).parents[1].iterdir() if path.name not in {"bin", "manifest.json"}
    ]


@pytest.mark.req("OC-CONFIG-6022", "OC-CONFIG-6029", "ORCH-3204")
def test_a_tag_that_was_moved_away_from_the_pinned_commit_is_refused(
    far: FarEnd, repository: Callable[..., str], tmp_path: Path
) -> None:
    pinned = repository()
    moved = repository("int main(void){return 1;}")

    with pytest.raises(DigestError, match=f"v1 is at {moved}, and {pinned} is pinned"):
        provisioner.install(llamacpp.recipe(Git(str(tmp_path / "repository"), "v1", pinned)))
    assert [] == leftovers()


@pytest.mark.req("OC-POLICY-4044", "ORCH-3205")
def test_git_goes_out_through_the_gateway_and_not_to_the_metadata_service(far: FarEnd) -> None:
    with pytest.raises(OutboundRefusedError, match=r"169\.254\.169\.254"):
        provisioner.install(llamacpp.recipe(Git("http://169.254.169.254/repository", "v1", "0" * 40)))
    assert [] == leftovers()


@pytest.mark.req("ORCH-3203", "ORCH-3204")
def test_a_build_that_is_called_off_ends_at_once_and_leaves_the_cache_as_it_was(
    programs: Programs, far: FarEnd, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    os.mkfifo(begun)
    programs.add("cmake", CMAKE_THAT_NEVER_ENDS.format(begun=str(begun)))
    far.answers["/src.tar.gz"] = (200, {}, source_archive())
    recipe, work = llamacpp.recipe(Archive(at(far, "/src.tar.gz"), digest(source_archive()))), Work()
    ended: list[BaseException] = []

    def build() -> None:
        try:
            provisioner.install(recipe, work=work)
        except ProvisionError as error:
            ended.append(error)

    thread = threading.Thread(target=build)
    thread.start()
    with begun.open() as pipe:
        assert pipe.readline()
        work.call_off()
        assert "" == pipe.read()  # the build has ended
    thread.join(30)

    assert [StoppedError] == [type(error) for error in ended]
    assert [] == leftovers()
