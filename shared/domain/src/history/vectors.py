#!/usr/bin/env python3
"""Prints `vectors.json` with the hash of each event, computed from RFC 8785 without the product's code.

To append a vector, add its line with any hash, run this program and compare: no other line may change. Then keep the output:
    python3 shared/domain/src/history/vectors.py > new && mv new shared/domain/src/history/vectors.json
"""
import hashlib
import json
from pathlib import Path


def canonical(value):
    # The members' names are ASCII, so Python's order is that of RFC 8785; numbers are integers.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


vectors = json.loads(Path(__file__).with_name("vectors.json").read_text("utf-8"))
previous = "0" * 64
for seq, vector in enumerate(vectors, start=1):
    personal = vector["personal"] and hashlib.sha256(bytes.fromhex(vector["personal"])).hexdigest()
    event = {"at": vector["at"], "data": vector["data"], "kind": vector["kind"], "merchant_id": "mer_plain_1",
             "personal_sha256": personal, "policy": 1, "prev_hash": previous, "seq": seq}
    vector["hash"] = previous = hashlib.sha256(canonical(event)).hexdigest()
print("[\n  " + ",\n  ".join(json.dumps(vector, ensure_ascii=False) for vector in vectors) + "\n]")
