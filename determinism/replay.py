"""Inputs decoded: through an orchestrator, or by an engine that is asked directly.

Source: ORCH-3045, ORCH-3050, OC-TEST-7005.
"""

from collections.abc import Sequence
from dataclasses import replace

from determinism.recording import Cache, Conditions, Identity, Recording, Undecoded
from determinism.seeds import Case
from determinism.siblings import Siblings
from harness.client import Client, fresh_id
from harness.engines.direct import DirectEngine, EngineDoesNotTellError
from harness.history import History, Stream
from harness.outcome import UNMET
from harness.service import Service
from harness.target import Target

DEADLINE_MS = 24 * 3_600_000  # of a task: no queue of a test reaches it
DECODE_MS = 120_000  # some dozens of tokens on a small CPU that other work shares
SIBLING_SHARE = 0.5  # of the context: longer than any task beside them; they are canceled
SIBLING_TRIES = 3  # each with other siblings: a model may end a text soon, and ends the same one as soon every time
SIBLING_SEEDS = 10_000  # siblings are other cases: they begin far behind the suite's own

Decoding = Recording | Undecoded


class Orchestrated:
    """One server, spoken to for as long as it lives.

    Args:
        life: how often its engines had been started, from 1.
        tokens: of each answer.
    """

    def __init__(self, target: Target, *, engine: str | None, tokens: int, life: int = 1) -> None:
        self.target = target
        self.service = Service.of(target.capabilities(), engine)
        self.life = life
        self._tokens = tokens
        self._client = Client(target.url, token=target.token, history=History())

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def decode(
        self, case: Case, *, copies: int = 1, cache: Cache = "cold", siblings: int = 0, has_seed: bool = True
    ) -> list[Decoding]:
        """Submit the same task so many times at once, and read every stream to its end.

        Args:
            copies: as many as reach every replica.
            cache: `warm` asks for the prompt cache to be used; that it is warm is the caller's part.
            siblings: other tasks that decode meanwhile, each in a slot of its own. Where they do not all do so from
                before the stream to after it, others are tried, and in the end nothing is decoded: that was no stream
                beside so many.
            has_seed: without one, a server derives it from the task's id.
        """
        under = Conditions(life=self.life, cache=cache, siblings=siblings)
        extra = {"kv_hint": "reuse" if cache == "warm" else "cold", **({"seed": case.seed} if has_seed else {})}
        why = ""
        for attempt in range(SIBLING_TRIES):
            self._forget()
            tasks = [self._sibling(attempt * siblings + number) for number in range(siblings)]
            beside = Siblings(self._client, tasks, deadline_ms=DECODE_MS)
            try:
                if why := beside.start():
                    continue
                found = self._read(case, under, [self._body(case, self._tokens, **extra) for _ in range(copies)])
                if why := beside.why_not_there("had ended"):
                    continue
            finally:
                beside.cancel()
            return [self._beside(one, beside) for one in found]
        return [Undecoded(case, under, why)] * copies

    @staticmethod
    def _beside(one: Decoding, siblings: Siblings) -> Decoding:
        if not isinstance(one, Recording):
            return one
        return replace(one, under=replace(one.under, siblings_on_replica=siblings.on(one.under.replica)))

    def _sibling(self, number: int) -> dict[str, object]:
        """Longer than any task beside it: it is canceled."""
        case = Case(SIBLING_SEEDS + number, number % 3)
        return self._body(case, int(self.service.ctx_max * SIBLING_SHARE), priority="batch", seed=case.seed)

    def _body(self, case: Case, tokens: int, **more: object) -> dict[str, object]:
        return {
            "task_id": fresh_id(),
            "session_id": fresh_id(),
            "workload": "completion",
            "priority": "interactive",
            "engine": self.service.engine,
            "model_ref": self.service.model_ref,
            "ctx": self.service.ctx_max,
            "max_tokens": tokens,
            "deadline_ms": DEADLINE_MS,
            "determinism": "strict",
            "prompt": case.text,
            **more,
        }

    def _read(self, case: Case, under: Conditions, bodies: Sequence[dict[str, object]]) -> list[Decoding]:
        """Submit these, and read every stream to its end."""
        refused = [self._refusal(body) for body in bodies]
        streams = [
            None if why else self._client.start_stream(str(body["task_id"]))
            for why, body in zip(refused, bodies, strict=True)
        ]
        why = ""
        try:
            self._client.read_to_end([reader for reader in streams if reader is not None], deadline_ms=DECODE_MS)
        except UNMET as error:
            why = str(error)
        return [
            Undecoded(case, under, refusal or why)
            if reader is None or why
            else self._recorded(case, under, reader.record)
            for refusal, reader in zip(refused, streams, strict=True)
        ]

    def _refusal(self, body: dict[str, object]) -> str | None:
        answer = self._client.submit(body)
        return None if answer.status == 202 else f"not admitted: {answer}"

    def _forget(self) -> None:
        for reader in self._client.readers:
            reader.leave()
        self._client.readers.clear()
        self._client.history.streams.clear()
        self._client.history.exchanges.clear()

    @staticmethod
    def _recorded(case: Case, under: Conditions, stream: Stream) -> Decoding:
        last, started = stream.terminal, stream.frames[0].payload if stream.frames else None
        if last is None or last.event != "end" or not isinstance(started, dict):
            return Undecoded(case, under, f"{stream}{f': {last.data}' if last is not None else ''}")
        return Recording(
            case=case,
            pieces=tuple(str(frame.payload["t"]) for frame in stream.tokens),
            tokens_out=int(last.payload["tokens_out"]),
            finish=str(last.payload.get("finish_reason", "")),
            under=replace(under, replica=str(started.get("replica_id", ""))),
            identity=Identity(
                str(started.get("engine", "")),
                str(started.get("engine_version", "")),
                str(started.get("model_digest", "")),
                str(started.get("sampler_profile_version", "")),
            ),
        )


class Direct:
    """One engine, past every orchestrator.

    Args:
        identity: of the streams that it has to be equal to; its own version has to be the same.
    """

    def __init__(self, engine: DirectEngine, *, name: str, tokens: int, identity: Identity, life: int = 1) -> None:
        self.engine = engine
        self.life = life
        self._name = name
        self._tokens = tokens
        self._identity = replace(identity, engine_version=engine.version())

    def decode(self, case: Case, *, cache: Cache = "cold", has_seed: bool = True) -> Decoding:
        """Ask for one answer."""
        under = Conditions(path="direct", replica=self._name, life=self.life, cache=cache)
        try:
            answer = self.engine.decode(
                case.text,
                seed=case.seed if has_seed else None,
                max_tokens=self._tokens,
                reuse=cache == "warm",
            )
        except EngineDoesNotTellError as error:
            return Undecoded(case, under, str(error))
        return Recording(
            case=case,
            pieces=(answer.text,),  # across paths the text counts
            tokens_out=answer.tokens_out,
            finish=answer.finish,
            under=under,
            identity=self._identity,
        )
