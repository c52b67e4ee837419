"""Creates a rebind: decides on the merchant that was read, and writes one transaction."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable

from . import policy
from .banks import UNKNOWN_BANK
from .bins import bin_of
from .body import CreateRebind
from .day_counts import counts_of
from .history import next_event, stored_hash
from .problem import Problem
from .rules import check_fresh_login, check_not_frozen, check_rebind_allowed
from .seal import seal
from .session import Token, live_session
from .store import Conflict, commit_rebind, load_merchant
from .text import card_number, has_check_digit, is_same_name, masked_name, phone_number
from .view import rebind_view

ALPHABET = "0123456789bcdfghjklmnpqrstvwxyzA"
RETRIES_MAX = 5


def _new_id(prefix: str, number: int) -> str:
    characters = "".join(ALPHABET[byte & 31] for byte in os.urandom(16))
    return f"{prefix}_{number:06x}{characters}"


def _valid_fields(body: CreateRebind, holder: str) -> tuple[str, str]:
    """Card number and phone. Raises with all invalid fields at once."""
    digits = card_number(body.card_number or "")
    phone = phone_number(body.reserved_phone or "")
    errors, actions = [], []
    if not digits:
        errors.append(("card_number", "CARD_FORMAT"))
    elif not has_check_digit(digits) and not body.number_confirmed:
        errors.append(("card_number", "CARD_LUHN"))
        actions.append("confirm_card_number")
    if not is_same_name(body.holder_name or "", holder):
        errors.append(("holder_name", "HOLDER_NOT_MERCHANT"))
        actions.append("contact_support")
    if not phone:
        errors.append(("reserved_phone", "PHONE_FORMAT"))
    if body.reason not in ("replace", "lost"):
        errors.append(("reason", "REQUEST_MALFORMED"))
    if errors:
        named = [{"field": name, "code": code} for name, code in errors]
        raise Problem(errors[0][1], actions, named)
    return digits, phone


def _check_card(state: dict, card_type: str, fingerprint: str) -> None:
    def refused(code: str, actions: list[str] | None = None) -> Problem:
        return Problem(code, actions, [{"field": "card_number", "code": code}])

    if card_type in ("credit", "quasi_credit"):
        raise refused("CARD_TYPE_CREDIT", ["contact_support"])
    if card_type == "prepaid":
        raise refused("CARD_TYPE_PREPAID", ["contact_support"])
    if state.get("act", {}).get("fp") == fingerprint:
        raise refused("CARD_SAME_AS_CURRENT")
    if any(standby["fp"] == fingerprint for standby in state.get("stby", [])):
        raise refused("CARD_SAME_AS_CURRENT", ["activate_standby", "unbind_card"])


def _event(merchant: dict, record: dict, holder: str) -> dict:
    card_id, bank_code, _, last4, _ = record["new"]
    data = {
        "rebind_id": record["id"],
        "card_id": card_id,
        "bank_code": bank_code or UNKNOWN_BANK,
        "last4": last4,
        "purpose": record["for"],
        "reason": record["why"],
        "holder": masked_name(holder),
    }
    at = record["at"]
    return next_event(merchant["id"], merchant["state"], "rebind_requested", at, policy.VERSION, data)


def _create_on(
    merchant: dict | None, token: Token, body: CreateRebind, card_hash: Callable, now: int
) -> dict:
    session = live_session(merchant, token, now)
    state, profile = merchant["state"], merchant["profile"]
    holder = profile.get("sname") or profile["name"]
    check_not_frozen(merchant)
    check_fresh_login(session, now)
    digits, phone = _valid_fields(body, holder)
    card_type, bank_code = bin_of(digits)
    fingerprint = card_hash(digits)
    purpose = "standby" if body.activate is False else "activate"
    check_rebind_allowed(merchant, now)
    _check_card(state, card_type, fingerprint)
    if purpose == "standby" and len(state.get("stby", [])) >= policy.STANDBY_MAX:
        raise Problem("STEP_OUT_OF_ORDER", ["activate_standby", "unbind_card"])
    counts = counts_of(merchant, session.device, now)
    counts.check_limit(now)

    number = state["n"] + 1
    record = {
        "id": _new_id("rbd", number),
        "ver": 1,
        "for": purpose,
        "why": body.reason,
        "new": [_new_id("card", number), bank_code, card_type, digits[-4:], now],
        **({"old": state["act"]["c"]} if "act" in state else {}),
        "fp": fingerprint,
        "tel": phone,
        "at": now,
        "exp": now + policy.REBIND_LIFE_S,
        "st": {"identity_pending": {"mis": 0, "ok": False, "att": {"n": 0, "w": 0}}},
    }
    event = _event(merchant, record, holder)
    after = {
        **state,
        "seq": event["seq"],
        "hash": stored_hash(event["hash"]),
        "n": number,
        "rv": 1,
        "open": number,
        "day": counts.count_rebind(now),
    }
    sealed = seal({"merchant_id": merchant["id"], "card_id": record["new"][0]}, digits)
    commit_rebind(merchant, after, record, sealed, event, session, now)
    created = {**record, "number": number}
    return rebind_view({**merchant, "state": after, "rebind": created}, created, now)


def create_rebind(
    merchant: dict | None, token: Token, body: CreateRebind, card_hash: Callable, now: int
) -> dict:
    """Creates the rebind; reads and decides again after a concurrent write."""
    for retries in range(RETRIES_MAX):
        try:
            return _create_on(merchant, token, body, card_hash, now)
        except Conflict:
            time.sleep(random.random() * min(0.032 * 2**retries, 0.512))
            merchant = load_merchant(token.merchant_id)
    raise Problem("VERSION_CONFLICT", retry_after_s=1)
