"""Sample code for a core system in Python: reads payout instructions. Needs `pip install -r requirements.txt`.

    python3 instruction.py keygen EC|RSA   a new key: the private JWK, and the value of CoreEncryptionKeys
    python3 instruction.py read            standard input: {instruction, private_jwk, signing_key_pem, payout_id, amount_fen}

A real core system keeps the private key in its key service and never prints a card number.
"""

import json
import sys
import time

from jwcrypto import jwe, jwk, jws
from jwcrypto.common import base64url_encode

ALGORITHMS = {"EC": "ECDH-ES", "RSA": "RSA-OAEP-256"}
AGE_S_MAX = 3600


class Refused(Exception):
    """The instruction must not be paid."""


def read_instruction(instruction, private_jwk, signing_key_pem, payout_id, amount_fen):
    """The claims of an instruction to pay exactly this payout. Raises `Refused` for any other one."""
    try:
        key = jwk.JWK(**private_jwk)
        message = jwe.JWE(algs=[ALGORITHMS[private_jwk["kty"]], "A256GCM"])
        message.deserialize(instruction, key=key)
        if message.jose_header.get("cty") != "JWT":
            raise Refused("the instruction does not contain a signed message")
        signed = jws.JWS()
        signed.allowed_algs = ["ES256"]
        signed.deserialize(message.payload.decode(), key=jwk.JWK.from_pem(signing_key_pem.encode()))
        claims = json.loads(signed.payload)
    except (jwe.InvalidJWEData, jws.InvalidJWSSignature, jws.InvalidJWSObject, ValueError) as error:
        raise Refused(str(error)) from error
    if not -60 <= time.time() - claims["iat"] <= AGE_S_MAX:
        raise Refused("the instruction is too old")
    if claims["payout_id"] != payout_id:
        raise Refused("the instruction is for another payout")
    if claims["amount_fen"] != amount_fen:
        raise Refused("the instruction is for another amount")
    return claims


def keygen(kty):
    """A new key pair: the private JWK for the core system, and the public set for the template's parameter."""
    options = {"crv": "P-256"} if kty == "EC" else {"size": 3072}
    pair = jwk.JWK.generate(kty=kty, **options)
    kid = pair.thumbprint()
    public = {**json.loads(pair.export_public()), "kid": kid}
    return {
        "private_jwk": {**json.loads(pair.export_private()), "kid": kid},
        "thumbprint": kid,
        "core_encryption_keys": base64url_encode(json.dumps({"keys": [public]})),
    }


def main(arguments):
    if len(arguments) == 2 and arguments[0] == "keygen" and arguments[1] in ALGORITHMS:
        return keygen(arguments[1])
    if arguments != ["read"]:
        raise Refused("usage: instruction.py keygen EC|RSA, or instruction.py read")
    claims = read_instruction(**json.load(sys.stdin))
    return {**claims, "card_number": "…" + claims["card_number"][-4:]}


if __name__ == "__main__":
    try:
        print(json.dumps(main(sys.argv[1:]), ensure_ascii=False))
    except Refused as refusal:
        sys.exit(f"refused: {refusal}")
