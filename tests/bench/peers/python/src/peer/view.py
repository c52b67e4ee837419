"""The objects of the replies."""

from __future__ import annotations

from . import policy
from .banks import UNKNOWN_BANK, bank_name
from .rebind import is_valid, next_actions, open_rebind, pending_code, stage_of
from .text import masked_phone
from .times import age_s, shown


def _is_gone(replaced: dict, now: int) -> bool:
    may_go = replaced["is"] in ("o", "b") or now >= replaced["until"]
    return may_go and not replaced.get("out") and not replaced.get("snd")


def _status_of(merchant: dict, card_id: str, now: int) -> str:
    state = merchant["state"]
    if (active := state.get("act")) and active["c"][0] == card_id:
        return "active"
    if any(card["c"][0] == card_id for card in state.get("stby", [])):
        return "standby"
    replaced = next((card for card in state.get("rp", []) if card["c"][0] == card_id), None)
    if replaced:
        last = state.get("last", {})
        is_needed = last.get("w") and last.get("old") == card_id
        return "removed" if _is_gone(replaced, now) and not is_needed else "retiring"
    rebind = open_rebind(merchant, now)
    return "pending" if rebind and rebind["new"][0] == card_id else "removed"


def card_view(merchant: dict, card: list, now: int) -> dict:
    card_id, bank_code, card_type, last4, bound_at = card
    view = {
        "card_id": card_id,
        "bank_code": bank_code or UNKNOWN_BANK,
        "bank_name": bank_name(bank_code),
        "type": card_type,
        "last4": last4,
        "status": _status_of(merchant, card_id, now),
        "bound_at": shown(bound_at),
    }
    for standby in merchant["state"].get("stby", []):
        if standby["c"][0] == card_id:
            view["usable_at"] = shown(standby["use"])
    return view


def _challenge_view(merchant: dict, rebind: dict, now: int) -> dict | None:
    _, stage = stage_of(rebind)
    has_deposit = "deposit" in stage.get("chk", {})
    code = pending_code(rebind, now)
    if code and (is_valid(code, now) or not has_deposit):
        is_identity = code["purpose"] == "identity"
        phone = merchant["profile"]["tel"] if is_identity else rebind["tel"]
        return {
            "purpose": code["purpose"],
            "method": "sms_code" if is_identity else "bank_code",
            "sent_to": masked_phone(phone),
            "expires_at": shown(code["at"] + policy.CODE_LIFE_S),
            "resend_after_s": max(policy.CODE_GAP_S - age_s(code["at"], now), 0),
            "attempts_left": max(policy.CODE_ATTEMPTS - code["attempts"]["n"], 0),
        }
    if not has_deposit:
        return None
    _, bank_code, _, last4, _ = rebind["new"]
    return {
        "purpose": "card",
        "method": "micro_deposit",
        "sent_to": f"{bank_name(bank_code)} ···{last4}",
        "expires_at": shown(rebind["exp"]),
        "resend_after_s": None,
        "attempts_left": max(policy.DEPOSIT_ATTEMPTS - stage["catt"]["n"], 0),
    }


def rebind_view(merchant: dict, rebind: dict, now: int) -> dict:
    """An open rebind."""
    old = rebind.get("old")
    return {
        "rebind_id": rebind["id"],
        "state": stage_of(rebind)[0],
        "version": rebind["ver"],
        "purpose": rebind["for"],
        "new_card": card_view(merchant, rebind["new"], now),
        "old_card": card_view(merchant, old, now) if old else None,
        "reserved_phone_masked": masked_phone(rebind["tel"]),
        "created_at": shown(rebind["at"]),
        "expires_at": shown(rebind["exp"]),
        "challenge": _challenge_view(merchant, rebind, now),
        "next_actions": next_actions(rebind, now),
    }
