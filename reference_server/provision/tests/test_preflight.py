"""Preflight: everything that is missing, at once and with its remedy, before anything is fetched."""

import shutil

import pytest

from reference_server.policy.tests.far_end import FarEnd
from reference_server.provision import llamacpp, network, provisioner
from reference_server.provision.container import ImagePull
from reference_server.provision.errors import (
    OutboundRefusedError,
    PreflightError,
)
from reference_server.provision.source import Archive, Git
from reference_server.provision.tests.programs import Programs
from reference_server.provision.tests.test_binaries import at
from reference_server.provision.tests.test_provision import digest, source_archive

IMAGE = "ghcr.io/org/engine@sha256:" + "a" * 64


@pytest.mark.req("ORCH-3202")
def test_docker_without_its_daemon_is_named_with_what_starts_it(programs: Programs) -> None:
    programs.add("docker", "sys.exit('Cannot connect to the Docker daemon')")

    with pytest.raises(PreflightError, match=r"Cannot connect to the Docker daemon.*systemctl start docker"):
        provisioner.install(ImagePull(engine="tgi", version="v", image=IMAGE, runtime="docker"))


@pytest.mark.req("ORCH-3202")
def test_everything_that_is_missing_is_named_at_once_each_with_its_remedy(
    far: FarEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("reference_server.provision.distro.family", lambda: "debian")

    with pytest.raises(PreflightError) as caught:
        provisioner.install(llamacpp.recipe(Git(at(far, "/r"), None, "0" * 40)))
    for package in ("g++", "ninja-build", "git"):
        assert f"apt-get install -y {package}" in str(caught.value)
    assert [] == far.asked


@pytest.mark.req("OC-CONFIG-6027", "ORCH-3092")
@pytest.mark.parametrize("is_allowed", [False, True])
def test_stand_in_package_manager_is_asked_only_where_the_switch_allows_it(
    programs: Programs, far: FarEnd, monkeypatch: pytest.MonkeyPatch, is_allowed: bool
) -> None:
    """The manager brings make by making it findable: the real one, which the PATH did not have before."""
    for name in ("cmake", "c++", "cc", "ld", "as", "ar", "ranlib"):
        (programs.folder / name).symlink_to(str(shutil.which(name)))
    programs.add("apt-get", f"os.symlink({shutil.which('make')!r}, {str(programs.folder / 'make')!r})")
    monkeypatch.setenv("PATH", str(programs.folder))
    monkeypatch.setattr("reference_server.provision.distro.family", lambda: "debian")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    far.answers["/src.tar.gz"] = (200, {}, source_archive())
    recipe = llamacpp.recipe(Archive(at(far, "/src.tar.gz"), digest(source_archive())))

    if is_allowed:
        assert provisioner.install(recipe, may_install_packages=True)
        assert [["install", "-y", "ninja-build"]] == programs.calls("apt-get")
    else:
        with pytest.raises(PreflightError, match="apt-get install -y ninja-build"):
            provisioner.install(recipe)
        assert [] == programs.calls("apt-get")


@pytest.mark.req("OC-CONFIG-6027", "ORCH-3205")
def test_stand_in_package_manager_is_not_asked_while_all_is_switched_off(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs.add("apt-get")
    monkeypatch.setenv(network.OFFLINE_ENV, "1")
    monkeypatch.setenv("PATH", str(programs.folder))
    monkeypatch.setattr("reference_server.provision.distro.family", lambda: "debian")
    monkeypatch.setattr("os.geteuid", lambda: 0)

    with pytest.raises(OutboundRefusedError, match="switched off"):
        provisioner.install(llamacpp.recipe(), may_install_packages=True)
    assert [] == programs.calls("apt-get")


@pytest.mark.req("OC-CONFIG-6021", "ORCH-3202")
def test_a_tool_that_is_too_old_is_named_with_the_version_that_will_do(programs: Programs) -> None:
    programs.add("git", "print('git version 1.8.3')")

    with pytest.raises(PreflightError, match=r"git 1\.8\.3 is too old: 2\.26 is needed"):
        provisioner.install(llamacpp.recipe(Git("https://a.example/r", None, "0" * 40)))
