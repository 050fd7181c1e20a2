"""llama-server as somebody has built it: a program, or an archive that holds it, by its sha256.

Source: ORCH-3201, ORCH-3204, OC-CONFIG-6025.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from reference_server.provision import archives, download
from reference_server.provision.errors import ProvisionError
from reference_server.provision.plan import Input, Plan, folder_of, key_of
from reference_server.provision.source import Archive, fetch
from reference_server.provision.tools import Found
from reference_server.provision.work import Site

UNPACKED_BYTES_MAX = 2 * 1024**3
DISK_BYTES = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class Prebuilt:
    """A `Recipe`. See `BinaryMode` for the fields."""

    version: str
    url: str
    sha256: str
    executable: str | None = None

    def plan(self) -> Plan:
        """What will be done; nothing of it needs a tool."""
        key = key_of(self.version, [self.sha256, self.executable])
        return Plan(
            engine="llamacpp",
            mode="binary",
            version=self.version,
            key=key,
            folder=str(folder_of("llamacpp", key)),
            tools=(),
            inputs=(Input(self.url, self.sha256),),
            steps=(),
            disk_bytes=DISK_BYTES,
        )

    def needs(self) -> list[Found]:
        """Nothing."""
        return []

    def is_whole(self, manifest: dict[str, str]) -> bool:
        """The program is there."""
        return Path(manifest["binary"]).is_file()

    def make(self, site: Site) -> dict[str, str]:
        """Fetch, unpack, and check that the program is among what came."""
        fetched = fetch(Archive(self.url, self.sha256), site.work)
        staging = site.staging
        inner = Path("files") / (self.executable or "llama-server")
        if self.executable is None:
            (staging / inner).parent.mkdir()
            shutil.copyfile(fetched, staging / inner)
        else:
            archives.unpack(fetched, staging / "files", bytes_max=UNPACKED_BYTES_MAX)
        program = Path(os.path.realpath(staging / inner))  # unlike `resolve`, this bears a link to itself
        if not program.is_file() or not program.is_relative_to(os.path.realpath(staging)):
            raise ProvisionError(f"{self.url}: has no program {self.executable}; name the right `executable`")
        program.chmod(0o755)
        fetched.unlink()
        return {"binary": str(site.final / inner), "digest": download.sha256_of(program)}
