"""The cache's locks: one at a time, and nothing is left of them."""

import threading
from pathlib import Path

import pytest

from reference_server.provision import cache

ROUNDS, THREADS = 50, 8


@pytest.mark.req("ORCH-3203")
def test_one_at_a_time_holds_a_lock_and_its_file_goes_with_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(cache.CACHE_ENV, str(tmp_path))
    inside, most, done = [0], [0], [0]

    def work() -> None:
        for _ in range(ROUNDS):
            with cache.locked("model-x", waiting=lambda _: None):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                done[0] += 1
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert (1, ROUNDS * THREADS) == (most[0], done[0])
    assert [] == list((tmp_path / "locks").iterdir())


@pytest.mark.req("ORCH-3203")
def test_what_fails_inside_leaves_no_lock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(cache.CACHE_ENV, str(tmp_path))

    with pytest.raises(KeyError), cache.locked("model-x", waiting=lambda _: None):
        raise KeyError
    assert [] == list((tmp_path / "locks").iterdir())


@pytest.mark.req("ORCH-3203")
def test_who_waited_for_a_lock_whose_file_is_gone_takes_the_new_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The first holds it, the second waits; once the first has let go, a third that comes must wait for the second."""
    monkeypatch.setenv(cache.CACHE_ENV, str(tmp_path))
    is_waiting, has_it, may_end = threading.Event(), threading.Event(), threading.Event()
    waited: list[str] = []

    def second() -> None:
        with cache.locked("model-x", waiting=lambda _: is_waiting.set()):
            has_it.set()
            may_end.wait(30)

    def third(text: str) -> None:
        waited.append(text)
        may_end.set()

    thread = threading.Thread(target=second)
    with cache.locked("model-x", waiting=lambda _: None):
        thread.start()
        assert is_waiting.wait(30)
    assert has_it.wait(30)
    with cache.locked("model-x", waiting=third):
        pass
    thread.join(30)

    assert 1 == len(waited)
    assert [] == list((tmp_path / "locks").iterdir())
