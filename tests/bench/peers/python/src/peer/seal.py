"""Sealed card numbers."""

import os

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .clients import kms
from .hashes import length_prefixed

CARD_KEY_ID = os.environ["CARD_KEY_ID"]


def seal(context: dict[str, str], plain: str) -> bytes:
    """Encrypts a card number under a fresh data key. The context is the associated data too."""
    made = kms.generate_data_key(KeyId=CARD_KEY_ID, KeySpec="AES_256", EncryptionContext=context)
    wrapped, nonce = made["CiphertextBlob"], os.urandom(12)
    associated = length_prefixed(part for pair in context.items() for part in pair)
    encrypted = AESGCM(made["Plaintext"]).encrypt(nonce, plain.encode(), associated)
    return b"\x01" + len(wrapped).to_bytes(2) + wrapped + nonce + encrypted
