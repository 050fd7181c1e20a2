"""The outbound policy's rules, as a table and as properties."""

import ipaddress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_server.policy.outbound import Request, Snapshot, decide, host_of, is_inside, split

ASKED = Request(purpose="model", scheme="https", host="models.example", port=443, addresses=("203.0.113.7",))
STRICT = Snapshot(is_strict=True)


@pytest.mark.req("ORCH-3080", "OC-POLICY-4040", "OC-POLICY-4041")
@pytest.mark.parametrize(
    ("snapshot", "rule"),
    [
        pytest.param(Snapshot(), "allowed", id="permissive"),
        pytest.param(Snapshot(is_on=False), "off", id="off"),
        pytest.param(Snapshot(is_on=False, is_shadow=True), "off", id="off-is-never-only-watched"),
        pytest.param(Snapshot(schemes=("http",)), "scheme", id="scheme"),
        pytest.param(Snapshot(deny=("models.example",)), "denied", id="denied-by-name"),
        pytest.param(Snapshot(deny=("*.example",)), "denied", id="denied-by-suffix"),
        pytest.param(Snapshot(deny=("203.0.113.0/24",)), "denied", id="denied-by-network"),
        pytest.param(Snapshot(deny=("203.0.113.7",)), "denied", id="denied-by-address"),
        pytest.param(Snapshot(deny=("models.example:443",)), "denied", id="denied-by-port"),
        pytest.param(Snapshot(deny=("models.example:80",)), "allowed", id="another-port"),
        pytest.param(Snapshot(deny=("xample",)), "allowed", id="not-a-part-of-a-name"),
        pytest.param(STRICT, "not-allowed", id="strict"),
        pytest.param(replace(STRICT, allow=("MODELS.example",)), "allowed", id="strict-allowed"),
        pytest.param(replace(STRICT, allow=("*.models.example",)), "not-allowed", id="a-suffix-is-not-the-name"),
        pytest.param(replace(STRICT, allow=("*",), deny=("models.example",)), "denied", id="deny-goes-first"),
    ],
)
def test_the_first_rule_that_refuses_is_the_reason(snapshot: Snapshot, rule: str) -> None:
    decision = decide(ASKED, snapshot)

    assert rule == decision.rule
    assert (rule == "allowed") == decision.is_allowed == decision.is_open


@pytest.mark.req("OC-POLICY-4042")
@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "169.254.169.254",
            "10.1.2.3",
            "172.31.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "0.0.0.0",  # noqa: S104 - an address to refuse
            "224.0.0.1",
        ),
        *("::1", "::", "fe80::1", "fe80::1%eth0", "fd00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254"),
        *("64:ff9b::a00:1", "2002:7f00:1::", "::127.0.0.1", "not-an-address", "255.255.255.255"),
    ],
)
def test_an_address_inside_is_refused_unless_its_host_may_be_private(address: str) -> None:
    asked = replace(ASKED, addresses=("203.0.113.7", address))

    assert "private-address" == decide(asked, Snapshot()).rule
    assert "private-address" == decide(asked, replace(STRICT, allow=("*",))).rule
    assert decide(asked, Snapshot(private=("models.example",))).is_allowed


@pytest.mark.req("OC-POLICY-4045")
def test_shadow_mode_says_what_it_would_have_refused_and_lets_it_go() -> None:
    decision = decide(ASKED, replace(STRICT, is_shadow=True))

    assert (False, True, "not-allowed") == (decision.is_allowed, decision.is_open, decision.rule)


@pytest.mark.req("OC-POLICY-4042")
@given(st.ip_addresses())
def test_what_the_standard_library_calls_inside_is_inside(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    documentation = any(
        address in ipaddress.ip_network(n)
        for n in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20")
        if ipaddress.ip_network(n).version == address.version
    )
    is_special = address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified
    if is_special or (address.version == 4 and address.is_private and not documentation):
        assert is_inside(str(address))


@pytest.mark.req("OC-POLICY-4040")
@given(st.text(max_size=40), st.integers(0, 65535))
def test_any_pattern_is_read_and_an_empty_allow_list_allows_nothing(pattern: str, port: int) -> None:
    asked = replace(ASKED, port=port)

    split(pattern)
    decide(asked, Snapshot(deny=(pattern,)))
    assert not decide(asked, STRICT).is_allowed


@pytest.mark.req("OC-POLICY-4040")
@pytest.mark.parametrize(
    ("text", "host"),
    [("EXAMPLE.org.", "example.org"), ("[::1]", "::1"), ("bücher.example", "xn--bcher-kva.example")],
)
def test_a_host_is_compared_as_dns_carries_it(text: str, host: str) -> None:
    assert host == host_of(text)


@pytest.mark.req("OC-POLICY-4040")
@pytest.mark.parametrize("text", ["", ".", "a b", "a/b", "user@host", "a" * 300])
def test_what_can_be_no_host_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no host"):
        host_of(text)
