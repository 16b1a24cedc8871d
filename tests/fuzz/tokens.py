"""Tokens: any text, any header and payload well signed, and key sets (T37 to T46, T49, T50)."""

from __future__ import annotations

import json
from typing import Any, Final

from tests.fuzz.target import Target
from tests.unit.tokens.material import ALL, ISSUER, NOW, POLICY, SECRET, claims, clock, forge, pair, spell
from trio_router.errors import TokenInvalid
from trio_router.secret import Secret
from trio_router.tokens.access import AccessVerifier, claimed_key
from trio_router.tokens.compact import MAX_TOKEN, decode_part, parse
from trio_router.tokens.jwks import KeysUnavailable, parse_key_set
from trio_router.tokens.jwt import JoseVerifier, sign
from trio_router.tokens.trust import TrustVerifier

SIGNING, KEY = pair("HS256")
HMAC: Final = SECRET + b"0"
TOKEN: Final = sign(claims(), SIGNING)
VERIFIER: Final = JoseVerifier(clock())
KEY_ID: Final = "k1"
SECRETS: Final = (Secret(HMAC.decode()),)
TRUST: Final = TrustVerifier(lambda key: SECRETS if key == KEY_ID else (), clock())
ACCESS: Final = AccessVerifier(clock())
SESSION: Final = "session-1"
CHANNEL: Final = "prs:room"


def compact(data: bytes) -> bool:
    """A text that is a token at all has one spelling, and nobody who lacks the key makes one that is valid."""
    token = data.decode("latin-1")
    try:
        unverified = parse(token)
    except TokenInvalid as error:
        assert error.reason in {"malformed", "header"}
        return False
    assert ".".join(spell(decode_part(part)) for part in token.split(".")) == token
    assert len(token) <= MAX_TOKEN
    assert json.loads(unverified.body) == unverified.unverified_payload
    try:
        VERIFIER.verify(token, KEY, POLICY)
    except TokenInvalid as error:
        assert error.reason.isidentifier()
    else:
        assert token == TOKEN, "forged"
    return True


def signed(data: bytes) -> bool:
    """Header and payload, a zero byte between them, under a right signature: what is accepted is what the claims must be."""
    header, _, payload = data.partition(b"\0")
    token = forge(header, payload, HMAC)
    return any([_as_jwt(token, header, payload), _as_trust(token), _as_access(token)])


def _as_jwt(token: str, header: bytes, payload: bytes) -> bool:
    try:
        accepted = VERIFIER.verify(token, KEY, POLICY)
    except TokenInvalid as error:
        assert error.reason.isidentifier()
        return False
    said = json.loads(payload)
    assert json.loads(header)["alg"] == "HS256"
    assert said["iss"] == ISSUER
    assert NOW - 5 < said["exp"] <= NOW + 10**10
    assert dict(accepted.values) == said
    return True


def _as_trust(token: str) -> bool:
    try:
        trust = TRUST.verify(token, session=SESSION, name=CHANNEL, action="channel.subscribe", key=KEY_ID)
    except TokenInvalid as error:
        assert error.reason.isidentifier()
        return False
    said = parse(token).unverified_payload
    assert (said["sid"], said["cname"], said.get("act", "channel.subscribe")) == (SESSION, CHANNEL, "channel.subscribe")
    assert trust.participant is not None
    assert NOW < trust.expires_at <= NOW + 3600 + 10
    return True


def _as_access(token: str) -> bool:
    try:
        unverified = parse(token)
    except TokenInvalid:
        return False
    named: tuple[str, str] | None = claimed_key(unverified)
    if named is None:
        return False
    app, key_id = named
    try:
        access = ACCESS.verify(unverified, app=app, key_id=key_id, secrets=SECRETS)
    except TokenInvalid as error:
        assert error.reason.isidentifier()
        return False
    said: dict[str, Any] = unverified.unverified_payload
    assert (access.client_id, access.token_id) == (said["clientId"], said["jti"])
    assert access.scope.permissions == frozenset(said["permissions"])
    return True


def key_set(data: bytes) -> bool:
    """A key set is read, or is none; a key that is not usable is left out and named."""
    try:
        parsed = parse_key_set(data, ALL)
    except KeysUnavailable as error:
        assert error.reason.isidentifier()
        return False
    for name, fault in parsed.skipped:
        assert name.isprintable()
        assert fault
    return len(parsed.keys) > 0


_MEMBERS: Final = (
    '"alg":"HS256"', '"typ":"JWT"', '"kid":"k1"', '"crit":["b64"]', '"b64":false', '"jku":', '"iss":', '"aud":', '"exp":', '"nbf":', '"iat":',
    '"jti":', '"sub":', '"sid":', '"cname":', '"pub":true', '"conn_info":', '"sysid":', '"sysinfo":', '"act":', '"permissions":', '"restrictions":',
    '"clientId":', "1700000000", '"prs:room"', '"session-1"', "{", "}", "[", "]", ",", ":", "null", "true", "1e999", "-0.5", "\\ud800",
)  # fmt: skip
_KEYS: Final = ('"keys":[', '"kty":"RSA"', '"kty":"EC"', '"kty":"oct"', '"crv":"P-256"', '"use":"sig"', '"alg":"RS256"', '"key_ops":["verify"]',
                '"n":', '"e":"AQAB"', '"x":', '"y":', '"d":', '"kid":')  # fmt: skip

TARGETS: Final = (
    Target("tokens", compact, (".", "-", "_", "=", "e30", "eyJhbGciOiJub25lIn0"), max_size=2048),
    Target("signed_tokens", signed, _MEMBERS, max_size=2048),
    Target("key_sets", key_set, (*_KEYS, *_MEMBERS), max_size=4096),
)
