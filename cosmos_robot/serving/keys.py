"""API keys: which header each service's clients send theirs in, compared in constant time."""

import hmac
from collections.abc import Mapping, Sequence

SCHEMES = ("bearer", "api-key", "key")
"""Words before a key in `Authorization`: NIM, Cosmic and OpenAI; Baseten and openpi; fal."""

KEY_HEADERS = ("x-api-key", "ocp-apim-subscription-key")
"""Headers that hold a key alone: a common one, and Pixazo's."""


def has_key(headers: Mapping[str, str], keys: Sequence[str]) -> bool:
    """Whether a request carries one of the keys.

    Every key that was sent is compared with every key that is accepted, so that the time says nothing.
    """
    sent = [headers[name] for name in KEY_HEADERS if name in headers]
    scheme, _, credential = headers.get("authorization", "").partition(" ")
    if scheme.lower() in SCHEMES:
        sent.append(credential.strip())
    found = False
    for given in sent:
        for key in keys:
            found |= hmac.compare_digest(given.encode("latin-1", "replace"), key.encode())
    return found
