"""Keyed hashes."""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable

from .clients import kms

LABEL = b"settlement-rebind/hash-key/v1"


def length_prefixed(parts: Iterable[str]) -> bytes:
    encoded = (part.encode() for part in parts)
    return b"".join(len(part).to_bytes(8) + part for part in encoded)


class HashKey:
    """A hash key, from the setting `<version>=<id>`."""

    def __init__(self, setting: str) -> None:
        self.version, key_id = setting.split("=", 1)
        answer = kms.generate_mac(KeyId=key_id, MacAlgorithm="HMAC_SHA_256", Message=LABEL)
        self._secret = answer["Mac"]

    def purpose(self, name: str) -> Callable[..., str]:
        """The hash function of a purpose."""
        # HKDF-Expand of one block.
        key = hmac.digest(self._secret, name.encode() + b"\x01", "sha256")

        def mac(*parts: str) -> str:
            digest = hmac.digest(key, length_prefixed(parts), "sha256")
            return f"{self.version}.{urlsafe_b64encode(digest).rstrip(b'=').decode()}"

        return mac
