"""The configuration file: defaults, and errors that say what and where."""

from pathlib import Path

import msgspec
import pytest

from reference_server.config import Config, ConfigError, MockEngine, load


@pytest.mark.req("OC-CONFIG-6001")
def test_an_empty_file_is_the_default(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("")

    assert Config() == load(file)


@pytest.mark.req("OC-CONFIG-6001", "ORCH-3030")
@pytest.mark.parametrize(
    ("text", "names"),
    [
        pytest.param("ports: 1", "`ports`", id="unknown-field"),
        pytest.param("port: high", "$.port", id="wrong-type"),
        pytest.param("port: 70000", "$.port", id="out-of-range"),
        pytest.param("pools: []", "$.pools", id="no-pool"),
        pytest.param("pools: [{engine: ollama}]", "$.pools[0].engine", id="unknown-engine"),
        pytest.param("pools: [{replicas: [{kind: cloud}]}]", "$.pools[0].replicas[0]", id="unknown-kind"),
        pytest.param("pools: [{replicas: [{kind: mock, slots: 0}]}]", "slots", id="zero-slots"),
        pytest.param("pools: [{replicas: [{kind: external, url: 'ftp://x'}]}]", "url", id="not-http"),
        pytest.param("pools: [{}, {}]", "share an id", id="two-of-one-id"),
        pytest.param("pools: [{}, {id: b}]", "same engine and model_ref", id="two-for-one-model"),
        pytest.param("pools: [{replicas: [{kind: supervised}]}]", "experimental_cpu: true", id="no-gpu-and-no-switch"),
        pytest.param(
            "pools: [{replicas: [{kind: supervised, devices: [0, 1]}]}]", "need a tensor_split", id="split-not-said"
        ),
        pytest.param(
            "pools: [{engine: vllm, replicas: [{kind: supervised, devices: [0]}]}]", "external", id="not-ours-to-start"
        ),
        pytest.param("pools: [", "not YAML", id="not-yaml"),
        pytest.param("- a", "Expected `object`", id="a-list"),
        pytest.param("sessions: {ttl_ms: 600001}", "ttl_ms", id="session-too-long"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, text: str, names: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(text)

    with pytest.raises(ConfigError) as caught:
        load(file)
    assert names in str(caught.value)
    assert str(file) in str(caught.value)


@pytest.mark.req("OC-CONFIG-6001")
def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "none.yaml")


@pytest.mark.req("ORCH-3058")
def test_the_default_pool_is_the_embedded_mock() -> None:
    (pool,) = Config().pools

    assert ("default", "llamacpp", "default") == (pool.id, pool.engine, pool.model_ref)
    assert isinstance(pool.replicas[0], MockEngine)
    assert "mock" == msgspec.to_builtins(pool.replicas[0])["kind"]


EXAMPLES = sorted((Path(__file__).parent.parent.parent / "contracts" / "config" / "examples").glob("*.yaml"))


@pytest.mark.req("OC-CONFIG-6002")
@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_the_shipped_examples_validate(file: Path) -> None:
    assert load(file).pools


@pytest.mark.req("OC-CONFIG-6002")
def test_the_full_example_shows_the_defaults() -> None:
    (full,) = [file for file in EXAMPLES if file.name == "full.yaml"]
    loaded = load(full)

    assert Config() == msgspec.structs.replace(loaded, pools=(loaded.pools[0],))
