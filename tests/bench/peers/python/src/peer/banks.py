"""The banks' names."""

from __future__ import annotations

from .data import load

UNKNOWN_BANK = "UNKNOWN"

_names = load("banks.json")


def bank_name(code: str | None) -> str:
    return _names.get(code, "其他银行")
