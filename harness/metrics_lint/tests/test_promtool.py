"""Our conventions and our reader beside `promtool check metrics`, on many texts: they say the same.

Needs Prometheus' promtool. Where it has no opinion there is nothing to compare: OpenMetrics, families without samples.
"""

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from harness.checks.exposition import ExpositionError, parse
from harness.checks.metric_names import problems
from harness.checks.metrics import series_contract
from harness.checks.tests.test_metrics import PLANTED
from harness.checks.tests.test_metrics import RIGHT as SMALL
from harness.metrics_lint.tests.test_cli import RIGHT
from harness.target import REFERENCE_SERVER, Servers

pytestmark = pytest.mark.real_part

REFUSED = "error while linting"


def promtool(text: str) -> set[tuple[str, str]] | None:
    """What promtool says of each metric; None = it cannot read the text."""
    done = subprocess.run(["promtool", "check", "metrics"], input=text.encode(), capture_output=True, check=False)  # noqa: S607
    said = done.stderr.decode()
    if REFUSED in said:
        assert 1 == done.returncode
        return None
    assert (3 if said else 0) == done.returncode, said
    return {(line.partition(" ")[0], line.partition(" ")[2]) for line in said.splitlines()}


def ours(text: str) -> set[tuple[str, str]] | None:
    """The same of ours."""
    try:
        families = parse(text).families.values()
    except ExpositionError:
        return None
    return {(family.name, said) for family in families if family.samples for _, said in problems(family)}


@pytest.mark.req("OC-METRICS-7106", "OC-METRICS-7108")
@pytest.mark.parametrize(
    "text",
    [
        pytest.param(SMALL.replace(old, new), id=f"{rule}-{case}")
        for rule, cases in PLANTED.items()
        for case, (old, new) in cases.items()
    ],
)
def test_planted_violations(text: str) -> None:
    assert promtool(text) == ours(text)


WORDS = st.sampled_from(
    [
        *("tasks", "queue", "counter", "gauge", "summary", "histogram", "total", "count", "sum", "bucket", "created"),
        *("ms", "s", "sec", "kb", "h", "d", "depthMs", "camelCase", "HTTP", "a:b", "info", "countered", "regauge"),
        *("seconds", "milliseconds", "minutes", "hours", "bytes", "kilobytes", "bits", "megabits", "kelvins", "meters"),
        *("fahrenheit", "thermometers", "ratio", "percent", "grams", "microounces", "MS", "Seconds"),
    ]
)
UNITS = re.compile(r"(?:^|_)[a-z]*(?:seconds|minutes|hours|bytes|bits|kelvins|meters|fahrenheit|grams|ounces)(?=_|$)")
NAMES = (
    st.lists(WORDS, min_size=1, max_size=4)
    .map("_".join)
    .filter(lambda name: len(UNITS.findall(name)) <= 1)  # of several units promtool names one at random
)
LABELS = st.dictionaries(
    st.sampled_from(["le", "quantile", "engine", "aB", "A_b", "_x"]), st.sampled_from(["1", "+Inf", "0.5"]), max_size=3
)
TYPES = st.sampled_from([None, "counter", "gauge", "histogram", "summary", "untyped", "Gauge"])


@st.composite
def expositions(draw: st.DrawFn) -> str:
    """Families with every sort of name, type, help and label, right and wrong."""
    lines: list[str] = []
    for name in draw(st.lists(NAMES, min_size=1, max_size=25, unique=True)):
        kind = draw(TYPES)
        lines += draw(st.sampled_from([[], [f"# HELP {name} Text."], [f"# HELP {name} "], [f"# HELP {name}"]]))
        lines += [f"# TYPE {name} {kind}"] if kind else []
        suffix = draw(st.sampled_from(["", "", "_bucket", "_count", "_sum", "_total"]))
        inside = ",".join(f'{label}="{value}"' for label, value in draw(LABELS).items())
        lines.append(f"{name}{suffix}{{{inside}}} 1" if inside else f"{name}{suffix} 1")
    return "".join(f"{line}\n" for line in lines)


@pytest.mark.req("OC-METRICS-7106")
@given(expositions())
@example("tasks_gauge_histogram 1\n")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_generated_expositions(text: str) -> None:
    assert promtool(text) == ours(text)


PIECES = st.sampled_from(
    [
        *(
            "{",
            "}",
            '"',
            ",",
            "=",
            "\\",
            "\n",
            "\n",
            " ",
            "\t",
            "#",
            "0",
            "1",
            "-",
            ".",
            "a",
            "le",
            "NaN",
            "+Inf",
            "1e400",
        ),
        *(
            "# HELP a b\n",
            "# TYPE a histogram\n",
            "# TYPE a counter\n",
            '{le="1"} 1\n',
            '{x="y"} 2 3\n',
            "a_sum 1\n",
            "a 1\n",
        ),
        *("\x00", "\r", "\u2028", "é", "0x1", "1_0", "infinity", "5.", "1e5", "# EOF\n", "\x0b", "٣", "\\n", '\\"'),
    ]
)


@pytest.mark.req("OC-METRICS-7108")
@given(st.lists(PIECES, max_size=12).map("".join))
@example("a 1 \n")
@example("a 1\t1\n")
@example('a {x="1"}1\n')
@example("# TYPE a\n")
@example("# TYPE a-b gauge\n")
@example("# HELP a-b\n")
@example("#HELP a b\n# HELP\ta\tc\n")
@example("# TYPE a gauge \na 1\n")
@settings(max_examples=400, deadline=None)
def test_broken_texts_are_refused_by_both_or_by_none(text: str) -> None:
    assert (promtool(text) is None) == (ours(text) is None)


@pytest.mark.req("OC-METRICS-7106", "ORCH-3028")
def test_the_contract_excepts_exactly_what_promtool_says_of_it() -> None:
    said = promtool(RIGHT)

    excepted = {name for names in series_contract()["exceptions"].values() for name in names}
    assert said is not None
    assert excepted == {name for name, _ in said}


@pytest.mark.req("OC-METRICS-7106", "ORCH-3028")
def test_promtool_says_of_the_reference_server_what_the_contract_excepts(tmp_path: Path) -> None:
    import httpx

    servers = Servers(REFERENCE_SERVER, folder=tmp_path)
    try:
        target = servers.start({})
        text = httpx.get(f"{target.url}/metrics", headers={"Authorization": f"Bearer {target.token}"}).text
    finally:
        servers.stop()

    said = promtool(text)
    assert said is not None
    assert {"latency_first_token_ms", "latency_decode_ms"} == {name for name, _ in said}
    assert said == ours(text)
