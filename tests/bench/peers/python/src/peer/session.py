"""Sessions: the token names merchant and slot; the merchant's state holds the hash of the token."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass

from . import policy
from .problem import Problem
from .times import age_s

TOKEN = re.compile(r"(mer_[A-Za-z0-9_]{1,40})\.([0-4])\.[^.]+")


def _dead() -> Problem:
    return Problem("SESSION_EXPIRED", ["login"])


@dataclass(frozen=True, slots=True)
class Token:
    """A presented token, not yet verified."""

    merchant_id: str
    slot: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Device:
    first_seen: int
    known: bool
    tag: str


@dataclass(frozen=True, slots=True)
class Session:
    slot: int
    stored: bytes
    token_hash: bytes
    login_at: int
    last_change_at: int
    device: Device

    @property
    def attribute(self) -> str:
        return f"s{self.slot}"

    @property
    def prefix(self) -> bytes:
        return self.stored[:33]

    def changed(self, now: int) -> bytes:
        """The stored form after a change at `now`."""
        changed_at = max(self.last_change_at, now).to_bytes(5, signed=True)
        return self.stored[:38] + changed_at + self.stored[43:]


def presented_token(event: dict) -> Token:
    scheme, _, text = event.get("headers", {}).get("authorization", "").partition(" ")
    text = text.strip()
    found = TOKEN.fullmatch(text)
    if scheme.lower() != "bearer" or not found:
        raise _dead()
    return Token(found[1], int(found[2]), hashlib.sha256(text.encode()).digest())


def _read(slot: int, stored: bytes) -> Session:
    def time(at: int) -> int:
        return int.from_bytes(stored[at : at + 5], signed=True)

    if len(stored) > 48:
        device = Device(time(43), stored[48] == 1, stored[49:].decode())
    else:
        device = Device(time(33), known=False, tag="")
    return Session(slot, stored, stored[1:33], time(33), time(38), device)


def live_session(merchant: dict | None, token: Token, now: int) -> Session:
    stored = merchant and merchant["sessions"][token.slot]
    if not stored or stored[0] != 1:
        raise _dead()
    session = _read(token.slot, stored)
    is_live = (
        hmac.compare_digest(session.token_hash, token.hash)
        and age_s(session.login_at, now) < policy.SESSION_MAX_S
        and age_s(session.last_change_at, now) < policy.SESSION_IDLE_S
    )
    if not is_live:
        raise _dead()
    return session
