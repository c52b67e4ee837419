"""Whether a merchant may start a rebind, in the order of the contract."""

from __future__ import annotations

from . import policy
from .problem import Problem
from .rebind import next_actions, open_rebind
from .session import Session
from .times import age_s, seconds_until, shanghai_date


def check_not_frozen(merchant: dict) -> None:
    if "frz" in merchant["state"]:
        raise Problem("ACCOUNT_FROZEN", ["contact_support"])


def check_fresh_login(session: Session, now: int) -> None:
    if age_s(session.login_at, now) >= policy.FRESH_LOGIN_S:
        raise Problem("STEP_UP_REQUIRED", ["login"])
    if not session.device.known:
        raise Problem("DEVICE_TOO_NEW", ["login", "contact_support"])


def hold_of(merchant: dict, now: int) -> dict | None:
    """The last activation while it has not taken effect."""
    last = merchant["state"].get("last")
    return last if last and (last.get("w") or now < last["eff"]) else None


def cooldown_of(merchant: dict, now: int) -> int | None:
    until = merchant["cooldown_until"]
    return until if until is not None and now < until else None


def _check_no_open_rebind(merchant: dict, now: int) -> None:
    rebind, number = merchant["rebind"], merchant["state"].get("open")
    if number is not None and (rebind is None or rebind["number"] != number):
        raise Problem("REQUEST_IN_PROGRESS")
    if is_open := open_rebind(merchant, now):
        raise Problem("REQUEST_IN_PROGRESS", next_actions(is_open, now))


def check_rebind_allowed(merchant: dict, now: int) -> None:
    """Company, expired document, quiet period, open rebind, cooldown, hold."""
    profile, state = merchant["profile"], merchant["state"]
    if profile["kind"] == "company":
        raise Problem("ENTITY_NEEDS_SUPPORT", ["contact_support"])
    if profile["idx"] != "long_term" and profile["idx"] < shanghai_date(now):
        raise Problem("ID_EXPIRED", ["contact_support"], counts_toward_limit=False)
    changed_at = state.get("sec")
    if changed_at is not None and age_s(changed_at, now) < policy.QUIET_PERIOD_S:
        wait_s = seconds_until(changed_at + policy.QUIET_PERIOD_S, now)
        raise Problem("QUIET_PERIOD", ["wait"], retry_after_s=wait_s)
    _check_no_open_rebind(merchant, now)
    until = cooldown_of(merchant, now)
    if until is not None:
        wait_s = seconds_until(until, now)
        raise Problem("REBIND_COOLDOWN", ["wait"], retry_after_s=wait_s, cooldown_until=until)
    if hold_of(merchant, now):
        raise Problem("REQUEST_IN_PROGRESS", ["wait", "contact_support"])
