"""The catalog over a restart, and beside real files."""

import hashlib
import json
import urllib.error
from pathlib import Path
from typing import Any

import pytest

from reference_server.tests.test_serve import call, server

MODELS = "/v1/catalog/models"
WEIGHTS = b"GGUF and the rest"
DIGEST = "sha256:" + hashlib.sha256(WEIGHTS).hexdigest()


def post(url: str, body: object) -> Any:
    answer = call(url, body)
    return json.loads(answer) if answer else None


@pytest.mark.req("ORCH-3037", "ORCH-3070", "ORCH-3098")
def test_catalog_states_and_artifacts_outlive_a_kill(tmp_path: Path) -> None:
    entry = {"id": "m", "digest": DIGEST, "source_url": "hf:org/repo", "signatures": []}
    with server("--state-dir", str(tmp_path)) as (_, url):
        post(url + MODELS, entry)
        post(url + MODELS, entry | {"id": "default"})
        post(f"{url}{MODELS}/default/state", {"state": "Retired", "deadline_ms": 600_000})
        artifact = post(url + "/v1/artifacts", {"kind": "plan", "content": "first, then"})

    with server("--state-dir", str(tmp_path)) as (_, url):
        assert entry == json.loads(call(f"{url}{MODELS}/m"))
        assert artifact == json.loads(call(f"{url}/v1/artifacts/{artifact['id']}"))
        metrics = call(url + "/metrics").decode()
        assert 'model_state{model_id="default",state="Retired"} 1.0' in metrics
        assert 'model_state{model_id="m",state="Active"} 1.0' in metrics


@pytest.mark.req("ORCH-3062", "ORCH-3090", "OC-CONFIG-6007")
def test_a_file_in_a_model_folder_is_verified_by_its_bytes_and_no_other_file_is_read(tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    (models / "a.gguf").write_bytes(WEIGHTS)
    (tmp_path / "secret.gguf").write_bytes(WEIGHTS)
    (tmp_path / "c.yaml").write_text(json.dumps({"model_folders": [str(models)]}))
    with server("--config", str(tmp_path / "c.yaml"), LLAMA_ORCH_CACHE_DIR=str(tmp_path / "cache")) as (_, url):

        def verdict(name: str, source: str, digest: str = DIGEST) -> str:
            post(url + MODELS, {"id": name, "digest": digest, "source_url": source})
            return str(post(f"{url}{MODELS}/{name}/verify", {})["status"])

        assert "warned" == verdict("right", f"file:{models}/a.gguf")
        assert "warned" == verdict("relative", "file:a.gguf")
        assert "failed" == verdict("wrong", "file:a.gguf", "sha256:" + "0" * 64)
        assert "pending" == verdict("outside", f"file:{tmp_path}/secret.gguf")
        assert "pending" == verdict("above", "file:../secret.gguf")


@pytest.mark.req("ORCH-3064")
def test_deleting_a_model_deletes_what_is_cached_of_it_unless_a_pool_serves_it(tmp_path: Path) -> None:
    for name in ("default", "m", "other"):
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / "w.gguf").write_bytes(WEIGHTS)
    with server(LLAMA_ORCH_CACHE_DIR=str(tmp_path)) as (_, url):
        for name in ("m", "default"):
            post(url + MODELS, {"id": name, "digest": DIGEST})
        call(f"{url}{MODELS}/m", method="DELETE")
        with pytest.raises(urllib.error.HTTPError) as refused:
            call(f"{url}{MODELS}/default", method="DELETE")

    assert 409 == refused.value.code
    refused.value.close()
    assert ["default", "other"] == sorted(folder.name for folder in (tmp_path / "models").iterdir())
