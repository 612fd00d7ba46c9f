"""Which tokens are good: kinds of keys, claims, times; and what is said of the others."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ahd.auth import jsonwebtoken as module
from ahd.auth.authenticator import Authenticator, bearer
from ahd.auth.grant import ANONYMOUS, Grant, Refusal
from ahd.auth.keys import KeySet, KeySetError
from ahd.auth.remote import RemoteKeys
from ahd.config import ConfigError, load, loads
from tests.auth.minting import ANN, SECRET, TOKENS, Key, KeyServer, b64, claims, hs, jwks, raw

RSA, EC, ED = Key("RSA", "rsa"), Key("EC", "ec"), Key("OKP", "ed")
OTHER = Key("RSA", "rsa")
CODES = {"authenticationRequired", "invalidToken", "tokenExpired", "keysUnavailable"}
"""What a client may be told of its token."""


def authenticator(tmp_path: Path | None = None, keys: str = "", **auth: Any) -> Authenticator:
    """One of this section; `keys` is the text of its jwksFile."""
    if keys:
        assert tmp_path is not None
        (tmp_path / "jwks.json").write_text(keys)
        auth["jwt"] = {**auth.get("jwt", {}), "jwksFile": "jwks.json"}
    text = yaml.safe_dump({"auth": auth})
    if tmp_path is None:
        return Authenticator(loads(text, {}), Path("ahd.yaml"))
    file = tmp_path / "ahd.yaml"
    file.write_text(text)
    return Authenticator(load(file, {}), file)


def judged(judge: Authenticator, token: Any) -> Grant:
    grant = judge.grant(token, final=True)
    assert grant is not None
    return grant


def why(judge: Authenticator, token: Any) -> tuple[str, str]:
    """The code that a client is told, and the reason in the log."""
    with pytest.raises(Refusal) as refused:
        judged(judge, token)
    assert refused.value.word in CODES
    assert str(token) not in f"{refused.value.why}{refused.value.sentence}" or not token
    return refused.value.word, refused.value.why


SECRETS = authenticator(jwt={"secret": SECRET})


def test_a_good_token_grants_its_claims_until_it_expires() -> None:
    expiry = int(time.time()) + 60
    grant = judged(SECRETS, hs(exp=expiry, role="x"))
    assert grant.claims == {"sub": "ann", "exp": expiry, "role": "x"}
    assert grant.expires_at == expiry
    assert grant.authenticated
    with pytest.raises(TypeError):
        grant.claims["role"] = "y"  # type: ignore[index]


def test_without_a_token_a_client_is_nobody_or_refused() -> None:
    assert SECRETS.grant(None) is ANONYMOUS
    assert not ANONYMOUS.authenticated
    assert why(authenticator(required=True, tokens=TOKENS), None)[0] == "authenticationRequired"


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_hmac(algorithm: str) -> None:
    assert judged(SECRETS, hs(algorithm)).claims["sub"] == "ann"
    assert why(SECRETS, hs(algorithm, secret=SECRET + "x"))[0] == "invalidToken"


def test_an_algorithm_needs_a_secret_of_its_length() -> None:
    short = authenticator(jwt={"secret": SECRET[:40]})
    assert judged(short, hs("HS256", SECRET[:40])).authenticated
    token = raw({"alg": "HS512"}, claims(), SECRET[:40].encode(), "sha512")
    assert why(short, token) == ("invalidToken", "HS512 needs a secret of 64 bytes")


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [(RSA, "RS256"), (RSA, "RS384"), (RSA, "RS512"), (RSA, "PS256"), (RSA, "PS512"), (EC, "ES256"), (ED, "EdDSA")],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_public_keys(tmp_path: Path, key: Key, algorithm: str) -> None:
    judge = authenticator(tmp_path, jwks(RSA, EC, ED))
    assert judged(judge, key.sign(algorithm)).claims["sub"] == "ann"
    assert judged(judge, key.sign(algorithm, kid=None)).claims["sub"] == "ann"
    assert why(judge, key.sign(algorithm, kid="other"))[0] == "invalidToken"


def test_another_key_of_the_same_name_does_not_do(tmp_path: Path) -> None:
    assert why(authenticator(tmp_path, jwks(RSA)), OTHER.sign()) == (
        "invalidToken",
        "InvalidSignatureError: Signature verification failed",
    )


def test_a_token_without_a_key_name_needs_the_only_key(tmp_path: Path) -> None:
    judge = authenticator(tmp_path, jwks(RSA, Key("RSA", "second")))
    assert "no key" in why(judge, RSA.sign(kid=None))[1]
    assert judged(judge, RSA.sign()).authenticated


# -- confusion


def test_none_is_no_algorithm(tmp_path: Path) -> None:
    judges = (SECRETS, authenticator(tmp_path, jwks(RSA), tokens=TOKENS))
    for algorithm in ("none", "None", "NONE", "nOnE", "", None, 0, ["HS256"], {"a": 1}):
        for judge in judges:
            assert why(judge, raw({"alg": algorithm}, claims()))[0] == "invalidToken"
            assert why(judge, raw({"alg": algorithm, "typ": "JWT"}, claims()) + "AAAA")[0] == "invalidToken"
    assert why(SECRETS, raw({"typ": "JWT"}, claims(), SECRET.encode()))[0] == "invalidToken"


def test_a_public_key_is_no_secret(tmp_path: Path) -> None:
    """The classic: sign with HS256, the text of the public key being the secret."""
    for judge in (authenticator(tmp_path, jwks(RSA)), authenticator(tmp_path, jwks(RSA), jwt={"secret": SECRET})):
        for secret in (RSA.pem(), RSA.pem().strip(), jwks(RSA).encode(), json.dumps(RSA.jwk()).encode()):
            for kid in ({}, {"kid": "rsa"}):
                assert why(judge, raw({"alg": "HS256", **kid}, claims(), secret))[0] == "invalidToken"


def test_a_secret_signs_nothing_but_hmac() -> None:
    for algorithm in ("RS256", "ES256", "EdDSA", "PS256"):
        assert "no key" in why(SECRETS, raw({"alg": algorithm}, claims(), SECRET.encode()))[1]


def test_a_key_for_one_algorithm_is_for_no_other(tmp_path: Path) -> None:
    judge = authenticator(tmp_path, jwks(Key("RSA", "rsa", alg="RS256")))
    only = Key("RSA", "only", alg="PS256")
    judge = authenticator(tmp_path, jwks(only))
    assert judged(judge, only.sign("PS256")).authenticated
    assert "no key" in why(judge, only.sign("RS256"))[1]


def test_keys_in_the_token_itself_are_not_asked(tmp_path: Path) -> None:
    header = {"alg": "RS256", "jwk": OTHER.jwk(), "jku": "http://127.0.0.1:1/", "x5c": ["AAAA"], "kid": "rsa"}
    signed = OTHER.sign()
    token = ".".join([b64(json.dumps(header).encode()), *signed.split(".")[1:]])
    assert why(authenticator(tmp_path, jwks(RSA)), token)[0] == "invalidToken"


def test_extensions_that_must_be_understood_are_refused() -> None:
    for crit in (["b64"], ["x"], [], None):
        token = raw({"alg": "HS256", "b64": False, "crit": crit}, claims(), SECRET.encode())
        assert why(SECRETS, token)[0] == "invalidToken"


def test_the_file_may_say_fewer_algorithms(tmp_path: Path) -> None:
    judge = authenticator(tmp_path, jwks(RSA, EC), jwt={"secret": SECRET, "algorithms": ["ES256"]})
    assert judged(judge, EC.sign()).authenticated
    assert "auth.jwt.algorithms" in why(judge, RSA.sign())[1]
    assert "auth.jwt.algorithms" in why(judge, hs())[1]


# -- what is asked of the claims


@pytest.mark.parametrize(
    ("section", "more", "code"),
    [
        ({}, {"exp": -1}, "tokenExpired"),
        ({}, {"exp": None}, "invalidToken"),
        ({"requireExpiry": False}, {"exp": None}, ""),
        ({"requireExpiry": False}, {"exp": -1}, "tokenExpired"),
        ({"leeway": 30}, {"exp": -10}, ""),
        ({"leeway": 30}, {"exp": -40}, "tokenExpired"),
        ({}, {"nbf": 30}, "invalidToken"),
        ({"leeway": 60}, {"nbf": 30}, ""),
        ({}, {"iat": 30}, "invalidToken"),
        ({"audience": ["chat"]}, {"aud": "chat"}, ""),
        ({"audience": ["chat", "x"]}, {"aud": ["y", "x"]}, ""),
        ({"audience": ["chat"]}, {"aud": "shop"}, "invalidToken"),
        ({"audience": ["chat"]}, {}, "invalidToken"),
        ({}, {"aud": "chat"}, "invalidToken"),
        ({"audience": ["chat"]}, {"aud": "cha"}, "invalidToken"),
        ({"issuer": ["https://id"]}, {"iss": "https://id"}, ""),
        ({"issuer": ["https://id"]}, {"iss": "https://i"}, "invalidToken"),
        ({"issuer": ["https://id"]}, {}, "invalidToken"),
        ({}, {"iss": "whoever"}, ""),
        ({}, {"exp": "soon"}, "invalidToken"),
        ({}, {"exp": [1]}, "invalidToken"),
        ({}, {"exp": 10**400}, ""),
        ({}, {"sub": 7}, "invalidToken"),
    ],
    ids=str,
)
def test_claims(section: dict[str, Any], more: dict[str, Any], code: str) -> None:
    now = int(time.time())
    times = {name: now + value for name, value in more.items() if name in ("exp", "nbf", "iat") and type(value) is int}
    judge, token = (
        authenticator(jwt={"secret": SECRET, **section}),
        raw({"alg": "HS256"}, claims(**{**more, **times}), SECRET.encode()),
    )
    if code:
        assert why(judge, token)[0] == code
    else:
        assert judged(judge, token).claims["sub"] == "ann"


def test_numbers_that_are_none_are_refused() -> None:
    for number in ("Infinity", "-Infinity", "NaN", "1e999"):
        token = raw({"alg": "HS256"}, f'{{"sub": "ann", "exp": {number}}}'.encode(), SECRET.encode())
        assert why(SECRETS, token)[0] in ("invalidToken", "tokenExpired")


def test_who_it_is_does_not_depend_on_the_token() -> None:
    more: list[dict[str, Any]] = [{"jti": "1"}, {"jti": "2"}, {"sub": "bob"}]
    first, second, bob = (judged(SECRETS, hs(**one)) for one in more)
    assert first.subject == second.subject != bob.subject
    nobody = [judged(SECRETS, hs(sub=None, team=team)).subject for team in ("red", "red", "blue")]
    assert nobody[0] == nobody[1] != nobody[2]
    assert judged(SECRETS, hs(iss="a")).subject != judged(SECRETS, hs(iss="b")).subject


# -- tokens that come again


def test_a_token_that_comes_again_is_not_checked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    judge, token = authenticator(jwt={"secret": SECRET}), hs()
    checks: list[Any] = []

    def decode(*given: Any, **more: Any) -> Any:
        checks.append(given)
        return real(*given, **more)

    real = jwt.decode
    monkeypatch.setattr(jwt, "decode", decode)
    grants = {id(judged(judge, token)) for _ in range(5)}
    assert (len(grants), len(checks)) == (1, 1)
    assert why(judge, token[:-2])[0] == "invalidToken"
    monkeypatch.setattr(module, "KNOWN", 10)
    for number in range(100):
        judged(judge, hs(jti=str(number)))
    assert judge._jwt is not None
    assert len(judge._jwt._known) <= 10


def test_a_token_that_is_remembered_expires_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    judge, token = authenticator(jwt={"secret": SECRET}), hs(exp=int(time.time()) + 2)
    judged(judge, token)
    judged(judge, token)
    end = time.monotonic() + 4
    while time.monotonic() < end:
        try:
            judged(judge, token)
        except Refusal as refusal:
            word = refusal.word
            break
        time.sleep(0.05)
    assert word == "tokenExpired"


# -- the list


def test_listed_tokens_and_jwt_stand_beside_each_other() -> None:
    judge = authenticator(tokens=TOKENS, jwt={"secret": SECRET})
    assert judged(judge, ANN).claims["sub"] == "ann"
    assert judged(judge, ANN).expires_at is None
    assert judged(judge, hs(sub="zoe")).claims["sub"] == "zoe"
    for wrong in (ANN[:-1], ANN + "x", ANN.upper(), f" {ANN}", f"{ANN}\n", ""):
        assert why(judge, wrong)[0] == "invalidToken"


def test_no_token_is_shown_by_what_holds_it() -> None:
    judge = authenticator(tokens=TOKENS, jwt={"secret": SECRET})
    for thing in (judge, judge.tokens, judged(judge, ANN), vars(judge.tokens)):
        assert ANN not in repr(thing)
        assert SECRET not in repr(thing)


@pytest.mark.parametrize(
    ("header", "token"),
    [
        (None, None),
        ("", None),
        ("Basic YTpi", None),
        ("Bearer x", "x"),
        ("bearer   x ", "x"),
        ("BEARER x", "x"),
        ("Bearer", ""),
        ("Bearer ", ""),
        ("Bearerx", None),
        ("Bearer x y", "x y"),
    ],
)
def test_the_header(header: str | None, token: str | None) -> None:
    assert bearer(header) == token


# -- sets of keys


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is not JSON"),
        ("[]", "it is no JWK Set"),
        ("{}", "it is no JWK Set"),
        ('{"keys": {}}', "it is no JWK Set"),
        ('{"keys": []}', "it has no keys"),
        ('{"keys": [1]}', "key 1: it is no object"),
        ('{"keys": [{"kty": "oct", "k": "AAAA"}]}', "key 1: it is a secret"),
        ('{"keys": [{"kty": "RSA"}]}', "key 1: it cannot be read"),
        ('{"keys": [{"kty": "EC", "crv": "secp256k1"}]}', "is not supported"),
        ('{"keys": [{"kty": "new"}]}', "is not supported"),
        (jwks(Key("RSA", "k", use="enc")), "it is not for signatures"),
        (jwks(Key("RSA", "k", key_ops=["encrypt"])), "it is not for signatures"),
        (jwks(Key("RSA", "k", alg="HS256")), "its alg (HS256) is not one of its kind"),
        (jwks(Key("EC", "k", alg="RS256")), "its alg (RS256) is not one of its kind"),
        (jwks({**Key("RSA").jwk(), "d": "AQ"}), "it is a private key"),
        (jwks({**Key("RSA").jwk(), "kid": 1}), "its kid is not text"),
        (jwks(Key("RSA", "k", bits=1024)), "RSA keys must have 2048 bits at least"),
        (json.dumps({"keys": [{}] * 101}), "more than 100 keys"),
    ],
    ids=lambda value: value if len(str(value)) < 40 else "",
)
def test_sets_that_cannot_be_used(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(KeySetError) as wrong:
        KeySet(text.encode())
    assert reason in str(wrong.value)
    with pytest.raises(ConfigError) as mistake:
        authenticator(tmp_path, text or " ")
    assert str(mistake.value).startswith(f"{tmp_path / 'ahd.yaml'}:3:15: auth.jwt.jwksFile: ")


def test_a_bad_key_leaves_the_others() -> None:
    keys = KeySet(jwks({"kty": "oct"}, RSA).encode())
    assert keys.find("RS256", "rsa") is not None
    assert keys.find("HS256", None) is None
    assert len(keys.unusable) == 1


# -- keys from elsewhere


@pytest.fixture
def serve() -> Iterator[Callable[[str], KeyServer]]:
    servers: list[KeyServer] = []

    def serve(text: str) -> KeyServer:
        servers.append(KeyServer(text))
        return servers[-1]

    yield serve
    for server in servers:
        server.close()


def remote(server: KeyServer, cooldown: float = 30.0) -> Authenticator:
    judge = authenticator(jwt={"jwksUrl": server.url})
    assert judge.remote is not None
    judge.remote._cooldown = cooldown
    return judge


async def test_keys_are_fetched_once_for_everybody(serve: Callable[[str], KeyServer]) -> None:
    server = serve(jwks(RSA))
    judge = remote(server)
    assert judge.grant(RSA.sign()) is None
    grants = await asyncio.gather(*(judge.fetched(RSA.sign(sub=str(n))) for n in range(20)))
    assert sorted(int(grant.claims["sub"]) for grant in grants) == list(range(20))
    assert server.asked == 1
    assert judged(judge, RSA.sign()).authenticated


async def test_a_rotated_key_is_found_and_unknown_ones_do_not_ask_again_and_again(
    serve: Callable[[str], KeyServer],
) -> None:
    server, new = serve(jwks(RSA)), Key("EC", "new")
    judge = remote(server, cooldown=0.2)
    before = RSA.sign()
    assert (await judge.fetched(before)).authenticated
    server.text = jwks(new)
    await asyncio.sleep(0.25)
    assert (await judge.fetched(new.sign())).claims["sub"] == "ann"
    assert server.asked == 2
    assert judge.remote is not None
    judge.remote._cooldown = 60
    for number in range(50):
        with pytest.raises(Refusal, match="the token is not valid"):
            await judge.fetched(RSA.sign(kid=f"unknown-{number}"))
    assert server.asked == 2
    with pytest.raises(Refusal):
        await judge.fetched(before)  # its key is gone, though it was good a moment ago


@pytest.mark.parametrize("spoil", ["status", "redirect", "text", "closed", "size"])
async def test_keys_that_cannot_be_had_are_an_error_of_their_own(serve: Callable[[str], KeyServer], spoil: str) -> None:
    server = serve(jwks(RSA))
    if spoil == "status":
        server.status = 500
    elif spoil == "redirect":
        server.status = 302
    elif spoil == "text":
        server.text = "<html>"
    elif spoil == "size":
        server.text = jwks(RSA) + " " * 600_000
    else:
        server.close()
    judge = remote(server, cooldown=0.1)
    with pytest.raises(Refusal) as refused:
        await judge.fetched(RSA.sign())
    assert refused.value.word == "keysUnavailable"
    assert refused.value.data == {"code": "keysUnavailable", "reconnect": True}
    assert refused.value.status == 503
    if spoil in ("status", "text"):
        server.status, server.text = 200, jwks(RSA)
        await asyncio.sleep(0.15)
        assert (await judge.fetched(RSA.sign())).authenticated


async def test_known_keys_serve_while_they_cannot_be_fetched_again(serve: Callable[[str], KeyServer]) -> None:
    server = serve(jwks(RSA))
    judge = remote(server, cooldown=0.05)
    keys = judge.remote
    assert keys is not None
    await judge.fetched(RSA.sign())
    server.status = 500
    keys.max_age = 0
    await asyncio.sleep(0.1)
    assert judged(judge, RSA.sign()).authenticated
    await keys.refreshed()
    assert server.asked > 1
    assert judged(judge, RSA.sign()).authenticated
    keys._fetched -= 90_000
    with pytest.raises(Refusal, match="tokens cannot be checked now"):
        judge.grant(RSA.sign(), final=True)


async def test_fetching_does_not_hold_the_loop_up(serve: Callable[[str], KeyServer]) -> None:
    server = serve(jwks(RSA))
    server.delay = 0.5
    judge = remote(server)
    waiting = asyncio.create_task(judge.fetched(RSA.sign()))
    longest, last = 0.0, time.perf_counter()
    while not waiting.done():
        await asyncio.sleep(0.005)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    assert (await waiting).authenticated
    print(f"the longest pause of the loop was {longest * 1000:.1f} ms")
    assert longest < 0.3


async def test_who_gives_up_waiting_leaves_the_others_their_keys(serve: Callable[[str], KeyServer]) -> None:
    server = serve(jwks(RSA))
    server.delay = 0.2
    judge = remote(server)
    first, second = (asyncio.create_task(judge.fetched(RSA.sign())) for _ in range(2))
    await asyncio.sleep(0.05)
    first.cancel()
    assert (await second).authenticated


async def test_a_reload_keeps_the_keys_that_are_there(serve: Callable[[str], KeyServer]) -> None:
    server = serve(jwks(RSA))
    judge = remote(server)
    await judge.fetched(RSA.sign())
    config = loads(yaml.safe_dump({"auth": {"jwt": {"jwksUrl": server.url, "jwksMaxAge": 60}}}), {})
    again = Authenticator(config, Path("x"), judge)
    assert again.remote is judge.remote
    assert isinstance(again.remote, RemoteKeys)
    assert again.remote.max_age == 60
    assert judged(again, RSA.sign()).authenticated


# -- whatever comes


JUDGES = [SECRETS, authenticator(tokens=TOKENS, required=True)]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=5
)
NAMED = st.dictionaries(st.sampled_from(["sub", "exp", "nbf", "iat", "aud", "iss", "jti", "alg", "kid", "typ"]), JSON)


def code_of(judge: Authenticator, token: Any) -> str:
    try:
        judge.grant(token, final=True)
    except Refusal as refusal:
        json.dumps(refusal.data)
        return refusal.word
    return "granted"


def told(token: Any) -> None:
    for judge in JUDGES:
        code = code_of(judge, token)
        assert code in CODES or code == "granted"


@given(st.text() | st.binary() | JSON | st.builds(".".join, st.lists(st.text(alphabet="abcABC012-_="), max_size=6)))
def test_fuzz_anything(token: Any) -> None:
    told(token)


@given(NAMED, NAMED, st.sampled_from([b"", SECRET.encode()]))
def test_fuzz_headers_and_claims(header: dict[str, Any], payload: dict[str, Any], secret: bytes) -> None:
    told(raw(header, payload, secret))


@given(NAMED)
def test_fuzz_claims_that_are_signed(payload: dict[str, Any]) -> None:
    """Whoever signs may sign nonsense: it is refused or granted, never anything else."""
    told(raw({"alg": "HS256"}, payload, SECRET.encode()))


@given(st.integers(0, 300), st.integers(0, 255))
def test_fuzz_a_changed_byte_is_noticed(place: int, value: int) -> None:
    token = GOOD
    index = place % len(token)
    changed = f"{token[:index]}{chr(value)}{token[index + 1 :]}"
    if changed != token:
        with pytest.raises(Refusal):
            judged(SECRETS, changed)


GOOD = hs(exp=int(time.time()) + 10**6)
