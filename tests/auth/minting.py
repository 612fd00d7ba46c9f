"""Tokens of every kind, good and bad, and a server of public keys."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

SECRET = "an-hmac-secret-of-more-than-64-bytes-so-that-it-does-for-HS512-as-well"
ANN = "ann-0123456789abcdef"
BOB = "bob-0123456789abcdef"
TOKENS = [
    {"token": ANN, "claims": {"sub": "ann", "roles": ["admin", "staff"], "team": "red"}},
    {"token": BOB, "claims": {"sub": "bob", "roles": ["staff"], "team": "blue"}},
]


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims(**more: Any) -> dict[str, Any]:
    """Those of a good token; None takes one away."""
    whole = {"sub": "ann", "exp": int(time.time()) + 600, **more}
    return {name: value for name, value in whole.items() if value is not None}


def hs(algorithm: str = "HS256", secret: str = SECRET, headers: dict[str, Any] | None = None, **more: Any) -> str:
    """A token signed with a secret."""
    return jwt.encode(claims(**more), secret, algorithm=algorithm, headers=headers)


def raw(header: Any, payload: Any, secret: bytes = b"", digest: str = "sha256") -> str:
    """A token that no library would make: signed by HMAC with these bytes, or with nothing at all."""
    parts = [b64(part if isinstance(part, bytes) else json.dumps(part).encode()) for part in (header, payload)]
    signed = ".".join(parts)
    return f"{signed}.{b64(hmac.new(secret, signed.encode(), digest).digest()) if secret else ''}"


class Key:
    """A key pair under a name."""

    def __init__(self, kind: str, kid: str | None = "k1", **more: Any) -> None:
        self.kid = kid
        self.more = more
        if kind == "RSA":
            self.private: Any = rsa.generate_private_key(65537, more.pop("bits", 2048))
            self.algorithm = "RS256"
            self.maker: Any = RSAAlgorithm
        elif kind == "EC":
            self.private = ec.generate_private_key(ec.SECP256R1())
            self.algorithm, self.maker = "ES256", ECAlgorithm
        else:
            self.private = ed25519.Ed25519PrivateKey.generate()
            self.algorithm, self.maker = "EdDSA", OKPAlgorithm

    def jwk(self) -> dict[str, Any]:
        """The public half."""
        found = dict(self.maker.to_jwk(self.private.public_key(), as_dict=True))
        return {**found, **({"kid": self.kid} if self.kid else {}), **self.more}

    def pem(self) -> bytes:
        return self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, algorithm: str = "", kid: str | None = "", **more: Any) -> str:
        headers = {"kid": self.kid if kid == "" else kid}
        headers = {name: value for name, value in headers.items() if value}
        return jwt.encode(claims(**more), self.private, algorithm=algorithm or self.algorithm, headers=headers)


def jwks(*keys: Key | dict[str, Any]) -> str:
    return json.dumps({"keys": [key.jwk() if isinstance(key, Key) else key for key in keys]})


class KeyServer:
    """Serves `text` with `status`, `delay` seconds after it was asked, and counts."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.status = 200
        self.delay = 0.0
        self.asked = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                time.sleep(outer.delay)
                body = outer.text.encode()
                self.send_response(outer.status)
                if outer.status in (301, 302):
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/jwks.json"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
