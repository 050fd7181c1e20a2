"""Rules for bodies that are no JSON: event streams and metrics, as regular expressions that say what they are for.

A rule is for one member, so that a mismatch names it, and begins with a comment in plain words. It reads JSON by its
grammar: members in any order, at exactly the depth that the path says, whatever else a frame holds. The dialect is
Oniguruma's, which pact verifiers use: `\\A`, `\\z`, `\\g<name>`, and `(?<name>…){0}` to define without matching.

Source: ORCH-3054 … 3057; https://docs.pact.io/implementation_guides/rust/pact_ffi (matching rules).
"""

from collections.abc import Sequence
from typing import Any

STRING = r"\g<string>"
COUNT = r"\d+"
TRUE, FALSE, BOOLEAN, NULL, LIST = "true", "false", "(?:true|false)", "null", r"\g<list>"
OBJECT = r"\g<object>"
NUMBER_TEXT = r"[0-9.eE+-]+"

GRAMMAR = (
    r'(?<string>"(?:[^"\\\n\r]|\\.)*+"){0}'
    r"(?<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?){0}"
    r"(?<list>\[(?:\s*\g<value>\s*,?)*+\s*\]){0}"
    r"(?<object>\{(?:\g<member>,?)*+\s*\}){0}"
    r"(?<value>\g<string>|\g<object>|\g<list>|\g<number>|true|false|null){0}"
    r"(?<member>\s*\g<string>\s*:\s*\g<value>\s*){0}"
    r"(?<nl>\r\n|\n|\r){0}"
    r"(?<other>(?:|[^:\r\n]{0,16}):[^\r\n]*\g<nl>|\g<nl>){0}"  # comments, `event:`, `id:`, empty lines
)


def one_of(*words: str) -> str:
    """A string that is one of these."""
    return '"(?:' + "|".join(words) + ')"'


def having(path: str, value: str) -> str:
    """An object in which `a.0.b` is `value`; a digit is an index of a list, of which only 0 is known."""
    if not path:
        return value
    name, _, rest = path.partition(".")
    inner = having(rest, value)
    if name == "0":
        return rf"\[\s*{inner}\s*(?:,\s*\g<value>\s*)*+\]"
    return rf'\{{(?:\g<member>,)*?\s*"{name}"\s*:\s*{inner}\s*(?:,\g<member>)*+\}}'


def frame(data: str = OBJECT) -> str:
    """One event, its data on one line."""
    return rf"(?:(?!data:)\g<other>)*+data: ?{data}\g<nl>\g<nl>"


def rule(comment: str, pattern: str) -> str:
    """A whole body, after which only comments and empty lines may come."""
    return rf"(?#{comment}){GRAMMAR}\A{pattern}(?:(?!data:)\g<other>)*+\z"


def every_frame(path: str, value: str, *, what: str, tail: str = "") -> str:
    """Each frame has it, up to the tail."""
    return rule(f"every frame has {path}, {what}", rf"(?:{frame(having(path, value))})++{tail}")


def last_frame(path: str, value: str, *, what: str, tail: str = "") -> str:
    """The last frame before the tail has it."""
    return rule(f"the last frame has {path}, {what}", rf"(?:{frame()})*{frame(having(path, value))}{tail}")


def earlier_frames(path: str, value: str, *, what: str, tail: str = "") -> str:
    """Each frame but the last one before the tail has it."""
    return rule(f"every frame but the last has {path}, {what}", rf"(?:{frame(having(path, value))})*{frame()}{tail}")


def no_earlier_frame(path: str, value: str, *, what: str) -> str:
    """No frame but the last one has it."""
    return rule(
        f"no frame but the last has {path}, {what}", rf"(?:{frame(rf'(?!{having(path, value)}){OBJECT}')})*{frame()}"
    )


def sample(*names: str, **labels: str) -> str:
    """A line of Prometheus' text format, under one of these names, with at least these labels."""
    some = r"[^}\n]*"
    wanted = "".join(rf'(?={some}{key}="{value}")' for key, value in labels.items())
    braces = rf"\{{{wanted}{some}\}}" if labels else rf"(?:\{{{some}\}})?"
    told = " or ".join(names) + "".join(f" with {key} {value}" for key, value in labels.items())
    return rf"(?#a sample of {told})\A[\s\S]*^(?:{'|'.join(names)}){braces} {NUMBER_TEXT}$[\s\S]*\z"


def body_rules(rules: Sequence[str]) -> dict[str, Any]:
    """As `with_matching_rules` takes them: all have to hold, and each that does not is told."""
    matchers = [{"match": "regex", "regex": rule} for rule in rules]
    return {"body": {"$": {"combine": "AND", "matchers": matchers}}}
