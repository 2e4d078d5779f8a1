"""Proofs of the operator: what is believed, what is not, and that nothing is half believed."""

import base64
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rvc.errors import InvalidConfiguration
from rvc.proof import LEEWAY_SECONDS, LIFETIME_SECONDS, Guard, ProofRefused, Refusal, Signer

NOW = 1_800_000_000.0
SIGNER = Signer(bytes(range(32)))
REQUEST = ("PUT", "/v1/conversions/u1")
BODY = b'{"a":1}'


def guard(now: float = NOW, signer: Signer = SIGNER, pod: str = "pod-1") -> Guard:
    return Guard(signer.public_key, pod, lambda: now)


def proof(pod: str = "pod-1", method: str = "PUT", target: str = "/v1/conversions/u1") -> str:
    return SIGNER.authorization(pod, method, target, BODY, NOW)


def refusal(guard: Guard, header: str | None) -> str:
    with pytest.raises(ProofRefused) as caught:
        guard.check(header, *REQUEST)
    assert guard.refused == {caught.value.reason: 1}
    return caught.value.reason


def test_a_proof_is_believed_by_the_pod_it_is_for():
    one = guard()
    claims = one.check(proof(), *REQUEST)
    one.check_body(claims, BODY)
    assert not one.refused


def test_a_proof_made_with_another_key_is_refused():
    assert refusal(guard(signer=Signer(bytes(32))), proof()) == Refusal.OTHER_KEY


@pytest.mark.parametrize(
    "header",
    [
        proof(pod="pod-2"),
        proof(method="DELETE"),
        proof(target="/v1/conversions/u2"),
        proof(target="/v1/conversions/u1?x=1"),
    ],
    ids=["pod", "method", "path", "query"],
)
def test_a_proof_for_something_else_is_refused(header):
    assert refusal(guard(), header) == Refusal.OTHER_REQUEST


def test_a_proof_holds_for_one_body():
    one = guard()
    claims = one.check(proof(), *REQUEST)
    with pytest.raises(ProofRefused):
        one.check_body(claims, b"{}")
    assert one.refused == {Refusal.OTHER_REQUEST: 1}


@pytest.mark.parametrize("age", [-LEEWAY_SECONDS, 0, LIFETIME_SECONDS, LIFETIME_SECONDS + LEEWAY_SECONDS])
def test_clocks_may_differ_a_little(age):
    guard(NOW + age).check(proof(), *REQUEST)


@pytest.mark.parametrize("age", [-LEEWAY_SECONDS - 1, LIFETIME_SECONDS + LEEWAY_SECONDS + 1])
def test_an_old_proof_and_one_from_the_future_are_refused(age):
    assert refusal(guard(NOW + age), proof()) == Refusal.EXPIRED


@pytest.mark.parametrize("header", [None, ""])
def test_no_proof_is_refused(header):
    assert refusal(guard(), header) == Refusal.MISSING


@pytest.mark.parametrize(
    "header", ["Bearer abc", "RVC-Proof", "RVC-Proof ", "RVC-Proof .", "RVC-Proof a.b", "RVC-Proof é.é", "x"]
)
def test_what_is_no_proof_is_refused(header):
    assert refusal(guard(), header) in (Refusal.MALFORMED, Refusal.OTHER_KEY)


@given(st.text())
def test_any_text_is_answered_by_a_refusal(text):
    for header in (text, f"RVC-Proof {text}", f"RVC-Proof {text}.{text}"):
        with pytest.raises(ProofRefused):
            guard().check(header, *REQUEST)


@given(st.integers(0, len(proof()) - 1), st.sampled_from("AZaz09-_.= "))
def test_a_proof_with_another_letter_is_not_believed(place, letter):
    changed = proof()[:place] + letter + proof()[place + 1 :]
    try:
        claims = guard().check(changed, *REQUEST)
    except ProofRefused:
        return
    # Only the last letter of a base64 text has bits that mean nothing, and a scheme has no case.
    assert claims == guard().check(proof(), *REQUEST)


def test_the_guard_is_described_by_the_pods_environment():
    environment = {"RVC_OPERATOR_KEY": SIGNER.public_key, "RVC_POD_UID": "pod-1"}
    header = Signer(bytes(range(32))).authorization("pod-1", "GET", "/progress", b"", time.time())
    Guard.of(environment).check(header, "GET", "/progress")


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"RVC_OPERATOR_KEY": SIGNER.public_key},
        {"RVC_OPERATOR_KEY": "no key", "RVC_POD_UID": "pod-1"},
        {"RVC_OPERATOR_KEY": base64.b64encode(b"short").decode(), "RVC_POD_UID": "pod-1"},
    ],
)
def test_a_pod_that_could_believe_nobody_does_not_start(environment):
    with pytest.raises(InvalidConfiguration, match="same release"):
        Guard.of(environment)


def test_the_private_key_is_not_in_what_is_sent():
    seed = bytes(range(32))
    for text in (Signer(seed).public_key, proof()):
        for part in text.removeprefix("RVC-Proof ").split("."):
            assert seed not in base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_")
