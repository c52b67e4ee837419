"""`POST /v1/rebinds`."""

import os

from aws_lambda_powertools.utilities.typing import LambdaContext

from .body import CreateRebind, idempotency_key, read_body
from .clients import pool
from .create import create_rebind
from .hashes import HashKey
from .history import canonical
from .idempotency import once
from .serve import reply, serve
from .session import live_session, presented_token
from .store import load_merchant

METHOD, PATH = "POST", "/v1/rebinds"

look_up, card_and_id = pool.map(HashKey, [os.environ["LOOK_UP_KEY"], os.environ["CARD_AND_ID_KEY"]])
scope_hash = look_up.purpose("idempotency")
body_hash = card_and_id.purpose("body-with-card")
card_hash = card_and_id.purpose("card")

create_once = once(lambda *request: reply(201, create_rebind(*request)))


def _create(event: dict, now: int, context: LambdaContext) -> dict:
    body = read_body(event, CreateRebind)
    key = idempotency_key(event)
    token = presented_token(event)
    merchant = load_merchant(token.merchant_id)
    live_session(merchant, token, now)
    sent = canonical(body.model_dump(exclude_unset=True))
    identity = {
        "scope": scope_hash(token.merchant_id, METHOD, PATH, key, card_and_id.version),
        "fingerprint": body_hash(token.merchant_id, sent),
    }
    return create_once(identity, context, merchant, token, body, card_hash, now)


handler = serve(METHOD, PATH, _create)
