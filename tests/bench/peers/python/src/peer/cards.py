"""`GET /v1/cards`."""

from __future__ import annotations

import os

from aws_lambda_powertools.utilities.typing import LambdaContext

from .day_counts import counts_of
from .hashes import HashKey
from .problem import Problem
from .rebind import open_rebind
from .rules import check_fresh_login, check_not_frozen, check_rebind_allowed, cooldown_of, hold_of
from .serve import reply, serve
from .session import Session, live_session, presented_token
from .store import load_merchant
from .times import shown
from .view import card_view, rebind_view

# For the function's other route, which takes an idempotency key.
look_up = HashKey(os.environ["LOOK_UP_KEY"])


def _blocked_by(merchant: dict, session: Session, now: int) -> str | None:
    """The code for which a new rebind would be refused now."""
    try:
        check_not_frozen(merchant)
        check_fresh_login(session, now)
        check_rebind_allowed(merchant, now)
        counts_of(merchant, session.device, now).check_limit(now)
    except Problem as problem:
        return problem.code
    return None


def _paying_card(state: dict, hold: dict) -> list | None:
    """The card that receives payouts during a hold."""
    if state.get("frz", {}).get("hold"):
        return None
    for replaced in state.get("rp", []):
        if replaced["c"][0] == hold.get("old"):
            return replaced["c"] if replaced["is"] == "u" else None
    return None


def _hold_view(merchant: dict, hold: dict, now: int) -> dict:
    paying = _paying_card(merchant["state"], hold)
    return {
        "rebind_id": hold["id"],
        "paying_card": card_view(merchant, paying, now) if paying else None,
        "effective_at": shown(hold["eff"]),
    }


def _cards_view(merchant: dict, session: Session, now: int) -> dict:
    state = merchant["state"]
    active = state.get("act")
    rebind = open_rebind(merchant, now)
    hold = hold_of(merchant, now)
    blocked_by = _blocked_by(merchant, session, now)
    until = cooldown_of(merchant, now)
    view = {
        "active": card_view(merchant, active["c"], now) if active else None,
        "standby": [card_view(merchant, standby["c"], now) for standby in state.get("stby", [])],
        "open_rebind": rebind_view(merchant, rebind, now) if rebind else None,
        "hold": _hold_view(merchant, hold, now) if hold else None,
        "can_rebind": blocked_by is None,
    }
    if blocked_by:
        view["blocked_by"] = blocked_by
    if until is not None:
        view["cooldown_until"] = shown(until)
    return view


def _list(event: dict, now: int, _: LambdaContext) -> dict:
    token = presented_token(event)
    merchant = load_merchant(token.merchant_id)
    session = live_session(merchant, token, now)
    return reply(200, _cards_view(merchant, session, now))


handler = serve("GET", "/v1/cards", _list)
