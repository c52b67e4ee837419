"""Refusals: RFC 9457 problem documents."""

from __future__ import annotations

from .data import load
from .times import shown

CATALOGUE = load("problems.json")


class Problem(Exception):
    """A refusal with its code; the other arguments are the members that depend on the request."""

    def __init__(
        self,
        code: str,
        next_actions: list[str] | None = None,
        errors: list[dict] | None = None,
        retry_after_s: int | None = None,
        counts_toward_limit: bool | None = None,
        cooldown_until: int | None = None,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.retry_after_s = retry_after_s
        self.members = {
            "retry_after_s": retry_after_s,
            "counts_toward_limit": counts_toward_limit,
            "cooldown_until": None if cooldown_until is None else shown(cooldown_until),
            "next_actions": next_actions or None,
            "errors": errors or None,
        }

    @property
    def status(self) -> int:
        return CATALOGUE[self.code]["status"]

    def document(self, support_ref: str) -> dict:
        given = {name: value for name, value in self.members.items() if value is not None}
        return {**CATALOGUE[self.code], "code": self.code, **given, "support_ref": support_ref}
