"""The configuration file: defaults, and errors that say what and where."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_server.config import Config, ConfigError, MockEngine
from reference_server.config_file import FILE_BYTES_MAX, Mode, load, parse
from reference_server.config_provisioning import ExternalMode, PackageMode, SourceMode
from reference_server.config_rules import mode_of

EXAMPLES = sorted((Path(__file__).parent.parent.parent / "contracts" / "config" / "examples").glob("*.yaml"))
PLUGIN = "plugins: [{id: p, file: /p.wasm, hooks: [admission], fetch: {%s}}]"
MODES: tuple[Mode, ...] = ("strict", "compat")


@pytest.mark.req("OC-CONFIG-6001")
def test_an_empty_file_is_the_default(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("")

    assert Config() == load(file)


@pytest.mark.req("OC-CONFIG-6002", "OC-POLICY-4035")
def test_the_plugins_of_the_readme_are_a_configuration() -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (shown,) = [block for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if block.startswith("plugins:")]

    plugins = parse(shown, name="README.md").plugins
    assert [(), ("policy.internal.example",)] == [plugin.fetch.allow for plugin in plugins]


@pytest.mark.req("OC-CONFIG-6001", "OC-CONFIG-6005", "OC-CONFIG-6008", "ORCH-3030")
@pytest.mark.parametrize(
    ("text", "names"),
    [
        pytest.param("ports: 1", "did you mean `port`?", id="unknown-field"),
        pytest.param("port: high", "port", id="wrong-type"),
        pytest.param("port: 70000", "port", id="out-of-range"),
        pytest.param("pools: []", "pools", id="no-pool"),
        pytest.param("pools: [{engine: ollama}]", "pools[0].engine", id="unknown-engine"),
        pytest.param("pools: [{replicas: [{kind: cloud}]}]", "pools[0].replicas[0]", id="unknown-kind"),
        pytest.param("pools: [{replicas: [{kind: mock, slots: 0}]}]", "slots", id="zero-slots"),
        pytest.param("pools: [{replicas: [{kind: external, url: 'ftp://x'}]}]", "url", id="not-http"),
        pytest.param("pools: [{}, {}]", "share an id", id="two-of-one-id"),
        pytest.param("pools: [{}, {id: b}]", "same engine and model_ref", id="two-for-one-model"),
        pytest.param("pools: [{replicas: [{kind: supervised}]}]", "experimental_cpu: true", id="no-gpu-and-no-switch"),
        pytest.param(
            "pools: [{replicas: [{kind: supervised, devices: [0, 1]}]}]", "need a tensor_split", id="split-not-said"
        ),
        pytest.param(
            "pools: [{engine: vllm, replicas: [{kind: supervised, devices: [0]}]}]", "for the CPU", id="cpu-on-a-gpu"
        ),
        *(
            pytest.param(f"pools: [{{id: a, canary: {{pool: {names}}}}}, {other}]", what, id=f"canary-{case}")
            for case, names, other, what in (
                ("of-nobody", "c", "{id: b, model_ref: m}", ":1: pools[0].canary.pool: c is no other pool"),
                ("of-itself", "a", "{id: b, model_ref: m}", "a is no other pool of this file; there are b"),
                ("of-another-engine", "b", "{id: b, engine: tgi}", "pool b has the engine tgi"),
                ("of-a-canary", "b", "{id: b, model_ref: m, canary: {pool: a}}", "pool b has a canary of its own"),
                ("above-one", "b, share: 1.5", "{id: b, model_ref: m}", "pools[0].canary.share"),
            )
        ),
        pytest.param("pools: [", "not YAML", id="not-yaml"),
        pytest.param("- a", "Expected `object`", id="a-list"),
        pytest.param("sessions: {ttl_ms: 600001}", "ttl_ms", id="session-too-long"),
        pytest.param(
            PLUGIN % "redact: [ok, '(a']", "plugins[0].fetch.redact[1]: not a pattern of RE2", id="no-pattern"
        ),
        pytest.param(PLUGIN % "mime_allow: [text]", "plugins[0].fetch.mime_allow[0]", id="no-mime-type"),
        pytest.param(PLUGIN % "body_bytes_max: 32769", "plugins[0].fetch.body_bytes_max", id="more-than-a-document"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, text: str, names: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(text)

    with pytest.raises(ConfigError) as caught:
        load(file)
    assert names in str(caught.value)
    assert str(file) in str(caught.value)


@pytest.mark.req("OC-CONFIG-6004")
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("port: 1\nsessions:\n  ttl_ms: 600001\n", "c:3: sessions.ttl_ms: Expected `int` <= 600000"),
        ("pools:\n- id: a\n- id: b\n  engine: ollama", "c:4: pools[1].engine: Invalid enum value 'ollama'; one of lla"),
        (
            "pools:\n- replicas:\n  - {kind: cloud}",
            "replicas[0].kind: Invalid value 'cloud'; one of mock, ext",
        ),
        ("pools:\n- replicas:\n  - kind: mock\n    slot: 3", "c:4: pools[0].replicas[0].slot: unknown field; did you"),
        ("pools:\n- {id: a}\n- {id: a}", "c:3: pools[1]: its id is a, as that of pools[0]"),
        ("port: 1\nhost: h\nport: 2", "c:3: port stands here for the second time"),
        ("port: 1\npools: [", "c:2: not YAML"),
        ("a: &a [*a]", "c:1: a: unknown field"),
        ("[" * 5000, "nested too deeply"),
        ('host: "\\ud800"', "c:1: half of a surrogate pair is no text"),
        ("d: 2020-99-99", "c: not YAML: month must be in 1..12"),
    ],
)
def test_an_error_names_line_and_field_and_what_would_be_right(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, name="c")
    assert says in str(caught.value)


ZEROS = "0" * 64


@pytest.mark.req("OC-CONFIG-6020", "OC-CONFIG-6022", "OC-CONFIG-6023", "OC-CONFIG-6024", "OC-CONFIG-6025", "ORCH-3201")
@pytest.mark.parametrize(
    ("engine", "mode", "says"),
    [
        ("llamacpp", "{mode: rpm}", "one of external, source, package, container, binary"),
        ("llamacpp", "{mode: package}", "does not come by `package`; it comes by external, source, container, binary"),
        ("tgi", "{mode: source}", "does not come by `source`"),
        ("tgi", "null", "has no default: give `provisioning: {mode: container"),
        ("llamacpp", "{mode: external}", "mode `external` starts nothing"),
        ("llamacpp", "{mode: binary, url: 'https://a.example/b'}", "missing required field `sha256`"),
        ("llamacpp", "{mode: binary, url: 'https://a.example/b', sha256: abc}", "provisioning.sha256"),
        (
            "llamacpp",
            f"{{mode: binary, url: 'https://a/b', sha256: 'sha256:{ZEROS}', executable: /bin/x}}",
            "provisioning.executable",
        ),
        ("llamacpp", "{mode: container, image: 'ghcr.io/a/b:latest'}", "provisioning.image"),
        (
            "llamacpp",
            "{mode: source, archive: 'https://a.example/b.tar.gz'}",
            "`archive` and its `digest`",
        ),
        ("llamacpp", "{mode: source, git: 'https://a.example/b'}", "`git` and the `commit` to build come together"),
        ("llamacpp", "{mode: source, git: 'ssh://a.example/b'}", "provisioning.git"),
        ("llamacpp", "{mode: source, git: 'https://user:secret@a.example/b'}", "provisioning.git"),
        ("llamacpp", "{mode: source, ref: b1}", "`ref` is one of a `git` repository"),
        ("llamacpp", "{mode: source, flags: ['-G', 'Ninja']}", "provisioning.flags[0]"),
        ("vllm", "{mode: package, package: 'vllm>=1'}", "provisioning.package"),
        ("vllm", "{mode: package, package: 'vllm==1'}", "`package` and the `lock` that holds it"),
    ],
)
def test_a_mode_that_lacks_what_makes_it_safe_is_refused(engine: str, mode: str, says: str) -> None:
    replica = "{kind: supervised, model_file: /m}"
    text = f"{{experimental_cpu: true, pools: [{{engine: {engine}, provisioning: {mode}, replicas: [{replica}]}}]}}"

    with pytest.raises(ConfigError) as caught:
        parse(text, name="c")
    assert says in str(caught.value)


@pytest.mark.req("ORCH-3043", "OC-CONFIG-6026")
@pytest.mark.parametrize(
    ("pool", "is_right"),
    [
        ("engine: vllm, model: {source: 'hf:org/repo'}", True),
        ("engine: tgi, model_ref: 'hf:org/repo@v1', provisioning: {mode: container, image: 'a/b@sha256:%s'}", True),
        ("engine: vllm, model_ref: org/repo", False),
        ("engine: vllm, model_ref: 'file:/m'", False),
        ("engine: triton, model: {source: 'hf:org/repo'}", False),
    ],
)
def test_an_engine_of_ours_needs_a_folder_or_a_reference_that_is_fetched(pool: str, *, is_right: bool) -> None:
    pool = pool.replace("%s", "0" * 64)
    text = f"{{experimental_cpu: true, pools: [{{{pool}, replicas: [{{kind: supervised}}]}}]}}"

    if is_right:
        assert parse(text, name="c").pools
        return
    with pytest.raises(ConfigError, match="is started with what `model_file` names"):
        parse(text, name="c")


@pytest.mark.req("OC-CONFIG-6020")
@pytest.mark.parametrize(
    ("pool", "inherits"),
    [
        ("{}", ExternalMode),
        ("{replicas: [{kind: external, url: 'http://a:1'}]}", ExternalMode),
        ("{replicas: [{kind: supervised}]}", SourceMode),
        ("{engine: vllm, replicas: [{kind: supervised, model_file: /m}]}", PackageMode),
        ("{engine: triton, replicas: [{kind: supervised, model_file: /m}]}", PackageMode),
    ],
)
def test_a_pool_that_names_no_mode_inherits_the_documented_one(pool: str, inherits: type) -> None:
    (parsed,) = parse(f"{{experimental_cpu: true, pools: [{pool}]}}", name="c").pools

    assert isinstance(mode_of(parsed), inherits)


@pytest.mark.req("OC-CONFIG-6001")
def test_in_compat_mode_unknown_fields_are_logged_with_their_line_and_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    text = "colour: red\nport: 9\npools:\n- id: a\n  replicas: [{kind: mock, slots: 2, wheels: 4}]\n"

    loaded = parse(text, name="c", mode="compat")

    assert (9, "a") == (loaded.port, loaded.pools[0].id)
    assert [
        "c:1: colour: unknown field; known here",
        "c:5: pools[0].replicas[0].wheels: unknown field; known here",
    ] == [record.getMessage().partition(":  ")[0].partition(" here:")[0] + " here" for record in caplog.records]
    with pytest.raises(ConfigError, match="colour"):
        parse(text, name="c")


@pytest.mark.req("OC-CONFIG-6001")
def test_compat_mode_forgives_nothing_else() -> None:
    with pytest.raises(ConfigError, match="port"):
        parse("{colour: red, port: high}", name="c", mode="compat")


FULL = (Path(__file__).parent.parent.parent / "contracts/config/examples/full.yaml").read_text(encoding="utf-8")
SCHEMA = jsonschema_rs.validator_for(
    json.loads((Path(__file__).parent.parent.parent / "contracts/config/schema.json").read_text(encoding="utf-8"))
)


@pytest.mark.req("OC-CONFIG-6004")
@settings(max_examples=300, deadline=None)
@given(at=st.integers(0, len(FULL)), length=st.integers(0, 30), piece=st.text(max_size=6), raw=st.booleans())
def test_any_file_is_a_configuration_or_an_error_that_names_it(at: int, length: int, piece: str, raw: bool) -> None:
    text = piece if raw else FULL[:at] + piece + FULL[at + length :]
    for mode in MODES:
        try:
            parse(text, name="some-file", mode=mode)
        except ConfigError as error:
            named = str(error).startswith("some-file")
        else:
            named = True
        assert named


TEXTS = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=3)  # what YAML lets stand unescaped
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-2, 70_000), st.floats(0.1, 0.9), TEXTS, st.just([]))


@pytest.mark.req("ORCH-3030", "OC-CONFIG-6002")
@settings(max_examples=500, deadline=None)
@given(data=st.data())
def test_schema_and_server_give_the_same_verdict_on_near_valid_files(data: st.DataObject) -> None:
    file = yaml.safe_load(FULL)
    node: Any = file
    while True:
        key = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
        if not isinstance(node[key], dict | list) or not node[key] or data.draw(st.booleans()):
            break
        node = node[key]
    if isinstance(node, dict) and data.draw(st.booleans()):
        node[data.draw(st.sampled_from(["unknown", "slots", "kind"]))] = data.draw(LEAVES)
    node[key] = data.draw(LEAVES)
    try:
        parse(json.dumps(file, ensure_ascii=False), name="c")
        verdict = True
    except ConfigError as error:
        verdict = False
        if any(sign in str(error) for sign in ("share an id", "same engine", "stands here", "experimental")):
            return  # no single field is wrong
    assert verdict == SCHEMA.is_valid(file), file


@pytest.mark.req("OC-CONFIG-6002")
@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_the_shipped_examples_fit_the_shipped_schema(file: Path) -> None:
    SCHEMA.validate(yaml.safe_load(file.read_text(encoding="utf-8")))


@pytest.mark.req("OC-CONFIG-6001")
def test_a_file_that_is_no_configuration_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"a" * (FILE_BYTES_MAX + 1))
    (tmp_path / "binary").write_bytes(b"port: \xff")

    with pytest.raises(ConfigError, match="larger than"):
        load(tmp_path / "large")
    with pytest.raises(ConfigError, match="not UTF-8 at byte 6"):
        load(tmp_path / "binary")


@pytest.mark.req("OC-CONFIG-6001")
def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "none.yaml")


@pytest.mark.req("ORCH-3058", "OC-CONFIG-6003")
def test_the_default_pool_is_the_embedded_mock() -> None:
    (pool,) = Config().pools

    assert ("default", "llamacpp", "default") == (pool.id, pool.engine, pool.model_ref)
    assert isinstance(pool.replicas[0], MockEngine)
    assert "mock" == msgspec.to_builtins(pool.replicas[0])["kind"]


@pytest.mark.req("OC-CONFIG-6002")
@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_the_shipped_examples_validate(file: Path) -> None:
    assert load(file).pools


@pytest.mark.req("OC-CONFIG-6002")
def test_the_full_example_shows_the_defaults() -> None:
    (full,) = [file for file in EXAMPLES if file.name == "full.yaml"]
    loaded = load(full)

    assert Config() == msgspec.structs.replace(loaded, pools=(loaded.pools[0],))
