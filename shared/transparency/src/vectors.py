#!/usr/bin/env python3
"""Prints `vectors.json`: a log with its proofs, computed from RFC 9162 and C2SP without the product's code.

Needs `cryptography` 44 or later (RFC 6979 signatures, so that the output is always the same):
    python3 shared/transparency/src/vectors.py > new && mv new shared/transparency/src/vectors.json
"""
import hashlib
import hmac
import json
from base64 import b64encode

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

NAME = "log.example/histories"
MERCHANTS = {f"mer_plain_{number}": bytes([number]) * 32 for number in (1, 2, 3)}
SIZES = [1, 5, 2, 3]  # entries in each batch
PRIVATE = ec.derive_private_key(0x5EED, ec.SECP256R1())  # for these vectors only
PUBLIC = PRIVATE.public_key()
SPKI = serialization.PublicFormat.SubjectPublicKeyInfo


def sha256(data):
    return hashlib.sha256(data).digest()


def canonical(value):
    # The members' names are ASCII, so Python's order is that of RFC 8785; numbers are integers.
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def split(n):
    return 1 << ((n - 1).bit_length() - 1)


def root(leaves):
    """MTH of RFC 9162, section 2.1.1."""
    if len(leaves) < 2:
        return sha256(b"\0" + leaves[0]) if leaves else sha256(b"")
    k = split(len(leaves))
    return sha256(b"\1" + root(leaves[:k]) + root(leaves[k:]))


def inclusion(m, leaves):
    """PATH of RFC 9162, section 2.1.3.1."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return inclusion(m, leaves[:k]) + [root(leaves[k:])]
    return inclusion(m - k, leaves[k:]) + [root(leaves[:k])]


def consistency(m, leaves, whole=True):
    """SUBPROOF of RFC 9162, section 2.1.4.1."""
    if m == len(leaves):
        return [] if whole else [root(leaves)]
    k = split(len(leaves))
    if m <= k:
        return consistency(m, leaves[:k], whole) + [root(leaves[k:])]
    return consistency(m - k, leaves[k:], False) + [root(leaves[:k])]


def note(leaves):
    text = f"{NAME}\n{len(leaves)}\n{b64encode(root(leaves)).decode()}\n"
    signature = PRIVATE.sign(text.encode(), ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    key_id = sha256(PUBLIC.public_bytes(serialization.Encoding.DER, SPKI))[:4]
    return f"{text}\n\u2014 {NAME} {b64encode(key_id + signature).decode()}\n"


def hexes(path):
    return [one.hex() for one in path]


pseudonyms = {merchant: hmac.digest(salt, b"pseudonym/v1\0" + merchant.encode(), "sha256").hex()
              for merchant, salt in MERCHANTS.items()}
batches, log, seq = [], [], 0
for number, size in enumerate(SIZES):
    entries = []
    for _ in range(size):
        seq += 1
        merchant = f"mer_plain_{seq % 3 + 1}"
        entries.append({"hash": sha256(f"{merchant}/{seq}".encode()).hex(), "pseudonym": pseudonyms[merchant], "seq": seq})
    at = 1795312860 + 3600 * number
    batches.append({"at": at, "entries": entries})
    log.append(canonical({"at": at, "entries": size, "root": root([canonical(entry) for entry in entries]).hex()}))

anchors = []
for number, batch in enumerate(batches):
    leaves = [canonical(entry) for entry in batch["entries"]]
    for index, entry in enumerate(batch["entries"]):
        anchors.append({
            "at": batch["at"], "entry": entry,
            "batch": {"size": len(leaves), "root": root(leaves).hex(), "index": index, "path": hexes(inclusion(index, leaves))},
            "log": {"index": number, "path": hexes(inclusion(number, log))}, "checkpoint": note(log)})
proofs = [{"from_size": m, "to_size": n, "path": hexes(consistency(m, log[:n]))}
          for n in range(1, len(log) + 1) for m in range(1, n + 1)]
print(json.dumps({
    "name": NAME, "key": PUBLIC.public_bytes(serialization.Encoding.PEM, SPKI).decode(),
    "merchants": [{"id": merchant, "salt": salt.hex(), "pseudonym": pseudonyms[merchant]}
                  for merchant, salt in MERCHANTS.items()],
    "batches": batches, "checkpoints": [note(log[:size]) for size in range(len(log) + 1)],
    "anchors": anchors, "consistency": proofs}, ensure_ascii=False, indent=1))
