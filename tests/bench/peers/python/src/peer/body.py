"""The request's body and its idempotency key."""

from __future__ import annotations

import re
from base64 import b64decode
from typing import TypeVar

from aws_lambda_powertools.utilities.parser import BaseModel, parse
from pydantic import ConfigDict, ValidationError

from .problem import Problem

BODY_MAX_BYTES = 16 * 1_024
KEY = re.compile(r"[\x20-\x7e]{1,255}")


class CreateRebind(BaseModel):
    """The body of `POST /v1/rebinds`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    card_number: str | None = None
    holder_name: str | None = None
    reserved_phone: str | None = None
    reason: str | None = None
    activate: bool | None = None
    number_confirmed: bool | None = None


Model = TypeVar("Model", bound=BaseModel)


def read_body(event: dict, model: type[Model]) -> Model:
    """The members of a JSON body that has this shape."""
    body = (event.get("body") or "").encode()
    try:
        body = b64decode(body, validate=True) if event.get("isBase64Encoded") else body
    except ValueError:
        raise Problem("REQUEST_MALFORMED") from None
    if len(body) > BODY_MAX_BYTES:
        raise Problem("BODY_TOO_LARGE")
    try:
        return parse(event=body.decode().strip() or "{}", model=model)
    except (UnicodeDecodeError, ValidationError):
        raise Problem("REQUEST_MALFORMED") from None


def idempotency_key(event: dict) -> str:
    key = event.get("headers", {}).get("idempotency-key", "")
    if not KEY.fullmatch(key):
        raise Problem("REQUEST_MALFORMED")
    return key
