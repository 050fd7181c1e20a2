"""The reader of expositions: as strict as Prometheus, a plain error for everything else, and lines in its samples."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from harness.checks.exposition import ExpositionError, parse, parse_openmetrics


@pytest.mark.req("OC-METRICS-7108", "OC-TEST-7006")
@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        pytest.param("a 1\nb 1", 2, "truncated", id="truncated-value"),
        pytest.param('a{x="1', 1, "truncated", id="truncated-label"),
        pytest.param("a\n", 1, "no number", id="no-value"),
        pytest.param("a one\n", 1, "no number", id="word-as-value"),
        pytest.param("a 1_000\n", 1, "no number", id="underscore"),
        pytest.param("a ٣\n", 1, "no number", id="other-digits"),
        pytest.param("a 0x10\n", 1, "no number", id="hexadecimal"),
        pytest.param("a 1e999\n", 1, "beyond 64 bits", id="too-big"),
        pytest.param("a 1 now\n", 1, "no time", id="word-as-time"),
        pytest.param("a 1 \n", 1, "no time", id="blank-at-the-end"),
        pytest.param("\x00\n", 1, "no metric name", id="nul"),
        pytest.param("<html>\n", 1, "no metric name", id="html"),
        pytest.param('a{1x="1"} 1\n', 1, "no label", id="label-name"),
        pytest.param("a{x=1} 1\n", 1, "no label", id="no-quotes"),
        pytest.param('a{x="1" y="2"} 1\n', 1, "no comma", id="no-comma"),
        pytest.param('a{x="1",x="2"} 1\n', 1, "twice", id="label-twice"),
        pytest.param('a{__name__="b"} 1\n', 1, "no label", id="reserved-label"),
        pytest.param('a{x="\\q"} 1\n', 1, "no label", id="escape-in-a-label"),
        pytest.param("# HELP a \\q\n", 1, "unknown escape", id="escape-in-a-help"),
        pytest.param("# HELP a x\n# HELP a y\n", 2, "a second HELP", id="help-twice"),
        pytest.param("# TYPE a gauge\n# TYPE a gauge\n", 2, "a second TYPE", id="type-twice"),
        pytest.param("a 1\n# TYPE a gauge\n", 2, "after its samples", id="type-after-samples"),
        pytest.param("# TYPE a thing\n", 1, "no such type", id="unknown-type"),
        pytest.param("# TYPE a-b gauge\n", 1, "no metric name", id="name-in-a-comment"),
        pytest.param('# TYPE a histogram\na_bucket{le="x"} 1\n', 2, "no number", id="bound"),
    ],
)
def test_what_prometheus_refuses_is_refused_with_its_line(text: str, line: int, why: str) -> None:
    with pytest.raises(ExpositionError, match=why) as caught:
        parse(text)

    assert line == caught.value.line


@pytest.mark.req("OC-METRICS-7108")
def test_samples_know_their_lines_and_families_their_names() -> None:
    head = '# HELP a_total A "text" \\\\n.\n# TYPE a_total counter\n'
    text = head + 'a_total{x="1",} 1\n\n  b{y="\\\\ \\" \\n"}\t2 1700000000000\n'

    scrape = parse(text)

    assert [("a_total", {"x": "1"}, 1, 3), ("b", {"y": '\\ " \n'}, 2, 5)] == [
        (s.name, s.labels, s.value, s.line) for s in scrape.samples
    ]
    assert 'A "text" \\n.' == scrape.families["a_total"].help
    assert {"a_total": "counter"} == scrape.types


@pytest.mark.req("OC-METRICS-7108")
@pytest.mark.parametrize("text", ["", "\n \n", "# just a comment\n", "#\n", "# TYPE\n", "# HELP a\n"])
def test_a_text_without_samples_has_none(text: str) -> None:
    assert () == parse(text).samples


def test_openmetrics_counters_have_the_contracts_names() -> None:
    text = '# HELP a A.\n# TYPE a counter\na_total{x="1"} 1 # {trace="t"} 0.5\na_created{x="1"} 1.5\n# EOF\n'

    scrape = parse_openmetrics(text)

    assert {"a_total": "counter"} == scrape.types
    assert ["a_total", "a_created"] == [sample.name for sample in scrape.samples]


@pytest.mark.req("OC-METRICS-7108")
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("a 1\n", id="no-eof"),
        pytest.param("# TYPE a counter\na 1\n# EOF\n", id="counter-without-total"),
        pytest.param("# EOF\na 1\n", id="after-the-end"),
        pytest.param("a{\n# EOF\n", id="broken-labels"),
    ],
)
def test_what_is_not_openmetrics_is_refused(text: str) -> None:
    with pytest.raises(ExpositionError):
        parse_openmetrics(text)


PIECES = (
    *("{", "}", '"', ",", "=", "\\", "\n", " ", "\t", "#", "0", "1", "-", "a", "_total", "le", "NaN", "+Inf", "1e400"),
    *(
        "# HELP a b",
        "# TYPE a histogram",
        "# TYPE a counter",
        'a_bucket{le="',
        "a_created",
        "# EOF",
        "# UNIT a s",
        " # {",
    ),
    *("\x00", "\r", "\u2028", "é"),
)


@pytest.mark.req("OC-METRICS-7108")
@given(st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=40).map("".join)))
@example("{}\n")
@example('a{a="b"} 1 # {}\n# EOF\n')
def test_any_text_is_read_or_refused_with_the_one_error(text: str) -> None:
    for read in (parse, parse_openmetrics):
        try:
            lines = [sample.line for sample in read(text).samples]
        except ExpositionError as error:
            lines = [error.line + 1]

        assert all(1 <= line <= text.count("\n") + 2 for line in lines)


NAMES = st.from_regex(r"[a-z_:][a-z0-9_:]{0,8}", fullmatch=True)
LABELS = st.dictionaries(
    st.from_regex(r"[a-z]{1,4}", fullmatch=True), st.text(st.characters(codec="utf-8"), max_size=6), max_size=3
)


@st.composite
def expositions(draw: st.DrawFn) -> str:
    """Untyped samples with names, labels and values of every sort."""
    lines = []
    for name, labels, value in draw(st.lists(st.tuples(NAMES, LABELS, st.floats() | st.integers(-9, 9)), max_size=5)):
        escaped = {k: v.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"") for k, v in labels.items()}
        inside = ",".join(f'{k}="{v}"' for k, v in escaped.items())
        lines.append(f"{name}{{{inside}}} {value}" if inside else f"{name} {value}")
    return "".join(f"{line}\n" for line in lines)


@given(expositions())
def test_what_is_right_reads_as_prometheus_clients_reader_has_it(text: str) -> None:
    theirs = [(s.name, s.labels, str(float(s.value))) for f in text_string_to_metric_families(text) for s in f.samples]

    assert theirs == [(s.name, dict(s.labels), str(s.value)) for s in parse(text).samples]
