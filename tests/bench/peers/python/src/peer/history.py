"""The hash chain of a merchant's events."""

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode


def canonical(value: object) -> str:
    """RFC 8785 for the values that occur: objects, strings, integers, booleans and null."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def next_event(merchant_id: str, state: dict, kind: str, at: int, policy: int, data: dict) -> dict:
    """The next event of the chain whose end the merchant's state records."""
    event = {
        "at": at,
        "data": data,
        "kind": kind,
        "merchant_id": merchant_id,
        "personal_sha256": None,
        "policy": policy,
        "prev_hash": urlsafe_b64decode(state["hash"] + "=").hex(),
        "seq": state["seq"] + 1,
    }
    return {**event, "hash": hashlib.sha256(canonical(event).encode()).hexdigest()}


def stored_hash(hash_hex: str) -> str:
    return urlsafe_b64encode(bytes.fromhex(hash_hex)).rstrip(b"=").decode()
