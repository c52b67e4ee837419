"""An open rebind: its pending code and the steps that it allows next."""

from __future__ import annotations

from . import policy
from .times import age_s

OPEN = ("identity_pending", "agreement_pending", "card_pending")


def stage_of(rebind: dict) -> tuple[str, dict]:
    return next(iter(rebind["st"].items()))


def open_rebind(merchant: dict, now: int) -> dict | None:
    rebind = merchant["rebind"]
    if rebind is None or stage_of(rebind)[0] not in OPEN:
        return None
    is_open = now < rebind["exp"] and merchant["state"].get("open") == rebind["number"]
    return rebind if is_open else None


def is_valid(code: dict, now: int) -> bool:
    return age_s(code["at"], now) < policy.CODE_LIFE_S


def _stale_proof(stage: dict, now: int) -> str | None:
    """The step that refreshes an outdated proof before the card's code can be tried."""
    if age_s(stage["id"]["at"], now) > policy.IDENTITY_PROOF_S:
        return "identity_code"
    matched = stage["chk"].get("matched")
    if matched and age_s(matched["at"], now) > policy.BANK_PROOF_S:
        return "card_check"
    return None


def pending_code(rebind: dict, now: int) -> dict | None:
    """The code to prompt for: an unexpired one first, then one that is usable, then the most recent one."""
    name, stage = stage_of(rebind)
    codes = []
    if name == "card_pending" and (code := stage["chk"].get("matched", {}).get("otp")):
        stale = _stale_proof(stage, now)
        codes.append({**code, "purpose": "card", "attempts": stage["catt"], "stale": stale})
    if code := stage.get("otp"):
        codes.append({**code, "purpose": "identity", "attempts": stage["att"], "stale": None})
    return max(codes, key=lambda code: (is_valid(code, now), code["stale"] is None, code["at"]), default=None)


def _card_step(stage: dict, now: int) -> str:
    if stale := _stale_proof(stage, now):
        return stale
    if "matched" in stage["chk"]:
        return "card_check_code"
    return "card_check_confirm" if "deposit" in stage["chk"] else "card_check"


def next_actions(rebind: dict, now: int) -> list[str]:
    """The steps of an open rebind."""
    code = pending_code(rebind, now)
    if code and is_valid(code, now):
        if code["stale"]:
            return [code["stale"], "cancel"]
        if code["purpose"] == "identity":
            return ["identity_confirm", "identity_code", "cancel"]
        return ["card_check_confirm", "card_check_code", "cancel"]
    name, stage = stage_of(rebind)
    if name == "identity_pending":
        return ["identity_code" if stage.get("ok") else "identity", "cancel"]
    if name == "agreement_pending":
        return ["read_agreement", "sign_agreement", "cancel"]
    return [_card_step(stage, now), "cancel"]
