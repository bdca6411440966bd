"""Our signatures are botocore's."""

from __future__ import annotations

import io
from typing import Any

import botocore.session
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st

from tillbook import signing, table

URL = "https://sqs.us-east-1.amazonaws.com/"
WORDS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)
NAMES = st.sampled_from(["X-Amz-Target", "Content-Type", "User-Agent", "x-amzn-query-mode", "X-Amzn-Trace-Id", "amz-a"])
PLACES = {"service_name": "sqs", "region_name": "us-east-1"}


def signed(signer: type[SigV4Auth], credentials: ReadOnlyCredentials, **request: Any) -> AWSRequest:
    made = AWSRequest(**({"method": "POST", "url": URL} | request))
    signer(credentials, **PLACES).add_auth(made)
    return made


@pytest.fixture(autouse=True)
def moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sign at one time."""
    monkeypatch.setattr(SigV4Auth, "_modify_request_before_signing", _at_noon(SigV4Auth._modify_request_before_signing))


@pytest.fixture(autouse=True)
def compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after the first call of a process, in which both were the same."""
    monkeypatch.setattr(signing.Signer, "same", True)


def _at_noon(modify: Any) -> Any:
    def modified(self: SigV4Auth, request: AWSRequest) -> None:
        request.context["timestamp"] = "20261122T120000Z"
        modify(self, request)

    return modified


@given(
    st.dictionaries(NAMES, WORDS),
    st.binary(max_size=200),
    st.sampled_from(["secret", "another/secret+"]),
    st.sampled_from([None, "token"]),
)
def test_a_signature_is_that_of_botocore(headers: dict[str, str], data: bytes, secret: str, token: str | None) -> None:
    credentials = ReadOnlyCredentials("AKID", secret, token)
    ours, theirs = (signed(signer, credentials, headers=headers, data=data) for signer in (signing.Signer, SigV4Auth))
    assert ours.headers.items() == theirs.headers.items()
    assert ours.headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKID/20261122/us-east-1/sqs/")


@pytest.mark.parametrize(
    "request_of",
    [
        {"method": "GET"},
        {"url": f"{URL}123/orders"},
        {"url": f"{URL}?a=b"},
        {"url": "http://127.0.0.1:4566/"},
        {"url": "https://localhost:4566/"},
        {"params": {"a": "b"}},
        {"data": io.BytesIO(b"abc")},
        {"data": {"Action": "SendMessage"}},
        {"data": b""},
        {"headers": {"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}},
    ],
    ids=["get", "path", "query", "http", "port", "parameters", "stream", "form", "empty", "hashed already"],
)
def test_what_is_no_plain_call_is_signed_too(request_of: dict[str, Any]) -> None:
    credentials = ReadOnlyCredentials("AKID", "secret", "token")
    ours, theirs = (signed(signer, credentials, **request_of) for signer in (signing.Signer, SigV4Auth))
    assert ours.headers.items() == theirs.headers.items()


@pytest.mark.parametrize("ours", ["the same", "another", "an error"])
def test_the_first_call_of_a_process_tells_whether_ours_is_used(monkeypatch: pytest.MonkeyPatch, ours: str) -> None:
    """Lambda may bring a botocore that signs otherwise."""
    monkeypatch.setattr(signing.Signer, "same", None)
    made: list[str] = []
    authorization = signing.Signer.authorization

    def told(self: signing.Signer, request: AWSRequest, host: str) -> str:
        made.append(host)
        if ours == "an error":
            raise AttributeError(ours)
        return authorization(self, request, host) + ("" if ours == "the same" else "0")

    monkeypatch.setattr(signing.Signer, "authorization", told)
    credentials = ReadOnlyCredentials("AKID", "secret", "token")
    theirs = signed(SigV4Auth, credentials, data=b"abc").headers.items()
    for _ in range(3):
        assert signed(signing.Signer, credentials, data=b"abc").headers.items() == theirs
    assert signing.Signer.same is (ours == "the same")
    assert len(made) == (3 if ours == "the same" else 1)


def test_our_clients_sign_by_it_and_others_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    made: list[str] = []
    authorization = signing.Signer.authorization

    def told(self: signing.Signer, request: AWSRequest, host: str) -> str:
        made.append(host)
        return authorization(self, request, host)

    monkeypatch.setattr(signing.Signer, "authorization", told)
    table._session.cache_clear()
    try:
        ours = table._client("dynamodb")
    finally:
        table._session.cache_clear()
    theirs = botocore.session.Session().create_client("dynamodb", config=Config(retries={"total_max_attempts": 1}))
    for client in (ours, theirs):
        sent: list[Any] = []
        client.meta.events.register("before-send", lambda request, sent=sent, **_: sent.append(request) or _stop())
        with pytest.raises(RuntimeError, match="stop"):
            client.get_item(TableName="t", Key={"pk": {"S": "a"}})
        assert b"AWS4-HMAC-SHA256" in sent[0].headers["Authorization"]
    assert made == ["dynamodb.us-east-1.amazonaws.com"]


def _stop() -> None:
    raise RuntimeError("stop")
