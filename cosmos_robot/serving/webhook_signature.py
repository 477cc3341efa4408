"""Signatures of webhooks: fal's scheme, Ed25519 with published keys.

What is signed is, in UTF-8 and joined by line feeds: the request's id, the user's id, the time of sending in whole
seconds of the epoch, and the SHA-256 of the body in hexadecimal. The four headers `<prefix>-Request-Id`, `-User-Id`,
`-Timestamp` and `-Signature` (hexadecimal) say all but the last of these, and the signature. The public key is at
`/.well-known/jwks.json`, as a JSON Web Key (RFC 8037). A receiver refuses a time more than five minutes away.
Source: fal's documentation of webhooks, "Verifying your webhook".
"""

import base64
import hashlib
import os
import time
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cosmos_robot.errors import InvalidInputError

KEYS_PATH = "/.well-known/jwks.json"
"""Where receivers find the public key; it needs no API key."""

USER = "cosmos-robot"
"""The user's id in every signature: this server has no users."""

_BYTES = 32


class SigningKey:
    """The server's own key: 32 random bytes in a file that the operator alone may read.

    Args:
        path: of the file; it is made where it is missing.

    Raises:
        InvalidInputError: if there is something else in it.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            _write_new(path)
        content = path.read_bytes()
        if len(content) != _BYTES:
            raise InvalidInputError(f"{path} holds no key for webhooks; remove it, and a new one is made.")
        self._key = Ed25519PrivateKey.from_private_bytes(content)

    def published(self) -> dict[str, Any]:
        """The public key in a JSON Web Key Set."""
        raw = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        x = base64.urlsafe_b64encode(raw).decode().rstrip("=")
        return {"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "x": x}]}

    def headers(self, prefix: str, request_id: str, body: bytes) -> dict[str, str]:
        """Sign a body, now.

        Args:
            prefix: of the headers' names, as `X-Fal-Webhook`.
            request_id: that the body tells of.
            body: as it is sent.
        """
        at = str(int(time.time()))
        message = "\n".join((request_id, USER, at, hashlib.sha256(body).hexdigest()))
        signature = self._key.sign(message.encode()).hex()
        values = {"Request-Id": request_id, "User-Id": USER, "Timestamp": at, "Signature": signature}
        return {f"{prefix}-{name}": value for name, value in values.items()}


def _write_new(path: Path) -> None:
    """Write a key, whole or not at all."""
    partial = path.with_name(f".{path.name}")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(os.urandom(_BYTES))
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
