"""Reads the configuration file: errors that name the file, the line, the field and what would be right.

In strict mode a field that nobody knows is an error; in compat mode, for a file that another version wrote, it is left
out with a warning. Everything else is the same in both.

Source: ORCH-3030, OC-CONFIG-6001, OC-CONFIG-6004, OC-CONFIG-6005.
"""

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml

from reference_server.config import Config, ConfigError, Pool, SupervisedEngine
from reference_server.config_places import Place, allowed_values, known_fields, place_of
from reference_server.config_rules import canary_wrong, provisioning_wrong
from reference_server.domain.devices import DeviceMask
from reference_server.provision.reference import scheme_of

Mode = Literal["strict", "compat"]

FILE_BYTES_MAX = 1024 * 1024
_SURROGATE = re.compile("[\ud800-\udfff]")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<field>.*?)`(?: - at `(?P<path>.*)`)?\Z", re.DOTALL)
_WHERE = re.compile(r"(?P<text>.*) - at `(?:key` in `)?(?P<path>.*)`\Z", re.DOTALL)

log = logging.getLogger(__name__)


def load(path: Path, mode: Mode = "strict") -> Config:
    """Read and validate a configuration file.

    Raises:
        ConfigError: unreadable, not YAML, or not the schema; the message says where and what.
    """
    return parse(_read(path), name=str(path), mode=mode)


def parse(text: str, *, name: str, mode: Mode = "strict") -> Config:
    """Validate a configuration.

    Args:
        name: of the file, for messages.

    Raises:
        ConfigError: see `load`.
    """
    file = _File(name, *_tree(text, name))
    config = file.converted(mode)
    for path, wrong in _contradictions(config):
        raise file.error(path, wrong)
    return config


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_BYTES_MAX + 1)
        if len(raw) > FILE_BYTES_MAX:
            raise ConfigError(f"{path}: larger than {FILE_BYTES_MAX} bytes: is it the configuration?")
        return raw.decode("utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: cannot be read: not UTF-8 at byte {error.start}") from error


def _tree(text: str, name: str) -> tuple[Any, yaml.Node | None]:
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        for node, wrong in _wrong_nodes(root):
            raise ConfigError(f"{name}:{node.start_mark.line + 1}: {wrong}")
        return yaml.safe_load(text), root
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise ConfigError(f"{name}{line}: not YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError) as error:  # a date that is none, a character that YAML forbids
        raise ConfigError(f"{name}: not YAML: {error}") from error
    except RecursionError:
        raise ConfigError(f"{name}: nested too deeply for a configuration") from None


def _wrong_nodes(root: yaml.Node | None) -> Iterator[tuple[yaml.Node, str]]:
    """What YAML readers let pass: keys that stand twice in one mapping, and texts that are none."""
    waiting, seen_nodes = [root], set[int]()
    while waiting:
        node = waiting.pop()
        if id(node) in seen_nodes:
            continue
        seen_nodes.add(id(node))
        if isinstance(node, yaml.ScalarNode) and not str(node.value).isascii() and _SURROGATE.search(node.value):
            yield node, "half of a surrogate pair is no text"
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.MappingNode):
            keys = set[str]()
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode) and key.value in keys and key.value != "<<":
                    yield key, f"{key.value} stands here for the second time; only one can count"
                keys.add(str(key.value))
                waiting += [key, value]


@dataclass(frozen=True)
class _File:
    name: str
    data: Any
    root: yaml.Node | None

    def converted(self, mode: Mode) -> Config:
        data = {} if self.data is None else self.data
        while True:
            try:
                return msgspec.convert(data, Config)
            except msgspec.ValidationError as error:
                if mode == "strict" or not self._dropped(data, str(error)):
                    raise self._from(str(error)) from error
            except RecursionError:
                raise ConfigError(f"{self.name}: nested too deeply for a configuration") from None

    def error(self, path: str, text: str) -> ConfigError:
        place = place_of(path, self.root)
        return ConfigError(f"{self.name}:{place.line}: {place.field}{text}")

    def _from(self, message: str) -> ConfigError:
        if (unknown := _UNKNOWN.match(message)) is not None:
            path, field = unknown["path"] or "$", unknown["field"]
            place = place_of(f"{path}.{field}", self.root)
            return ConfigError(f"{self.name}:{place.line}: {place.field}{_unknown(path, field, self.data)}")
        if (found := _WHERE.match(message)) is None:
            return self.error("$", message)
        allowed = allowed_values(found["path"], self.data)
        return self.error(found["path"], found["text"] + (f"; one of {', '.join(allowed)}" if allowed else ""))

    def _dropped(self, data: Any, message: str) -> bool:
        """Leave out the field that is not known. False when the error is another one."""
        if (unknown := _UNKNOWN.match(message)) is None:
            return False
        place: Place = place_of(unknown["path"] or "$", self.root)
        holder = place.value_in(data)
        if not isinstance(holder, dict) or unknown["field"] not in holder:
            return False
        log.warning("%s", self._from(message))
        del holder[unknown["field"]]
        return True


def _unknown(path: str, field: str, data: Any) -> str:
    known = known_fields(path, data)
    near = get_close_matches(field, known, n=1)
    hint = f"did you mean `{near[0]}`?" if near else f"known here: {', '.join(sorted(known))}"
    return f"unknown field; {hint}"


def _contradictions(config: Config) -> Iterator[tuple[str, str]]:
    """What each field allows, and together is wrong: path and text."""
    ids: dict[str, int] = {}
    served: dict[tuple[str, str], int] = {}
    for number, pool in enumerate(config.pools):
        if pool.id in ids:
            yield f"$.pools[{number}]", f"its id is {pool.id}, as that of pools[{ids[pool.id]}]: two pools share an id"
        ids[pool.id] = number
        serves = (pool.engine, pool.model_ref)
        if serves in served:
            yield (
                f"$.pools[{number}]",
                f"it serves the same engine and model_ref as pools[{served[serves]}]; make them replicas of one pool",
            )
        served[serves] = number
        if (wrong := provisioning_wrong(pool)) is not None:
            yield f"$.pools[{number}].provisioning", wrong
        if (wrong := canary_wrong(pool, config.pools)) is not None:
            yield f"$.pools[{number}].canary.pool", wrong
        for index, replica in enumerate(pool.replicas):
            if isinstance(replica, SupervisedEngine) and (wrong := _wrong_with(config, pool, replica)) is not None:
                yield f"$.pools[{number}].replicas[{index}]", wrong

    for number, plugin in enumerate(config.plugins):
        for index, pattern in enumerate(plugin.fetch.redact):
            if (text := _wrong_with_pattern(pattern)) is not None:
                yield f"$.plugins[{number}].fetch.redact[{index}]", text


def _wrong_with_pattern(pattern: str) -> str | None:
    from reference_server.policy import redaction  # with its library, where there is a pattern at all

    try:
        redaction.compiled(pattern)
    except ValueError as error:
        return f"not a pattern of RE2: {error}"
    return None


def _is_fetched(pool: Pool) -> bool:
    """Whether the model comes by a reference; Triton's repositories never do."""
    return pool.engine != "triton" and scheme_of(pool.model.source or pool.model_ref) not in {None, "file"}


def _wrong_with(config: Config, pool: Pool, replica: SupervisedEngine) -> str | None:
    if pool.engine != "llamacpp" and replica.model_file is None and not _is_fetched(pool):
        which = "a folder with a model, or a model repository"
        also = "" if pool.engine == "triton" else "; or name a `model.source` that is fetched, as hf:org/repo"
        return f"{pool.engine} is started with what `model_file` names: {which}{also}"
    if pool.engine != "llamacpp" and replica.binary is not None:
        return f"`binary` is llama-server's; {pool.engine} comes by the pool's `provisioning`"
    if not replica.devices and not config.experimental_cpu:
        return (
            "without `devices` it decodes on the CPU, which is experimental: name its GPUs, as in `devices: [0]`, "
            "or set `experimental_cpu: true` at the top of the file"
        )
    return DeviceMask(replica.devices, replica.tensor_split).wrong()
