"""Typed text: folded before it is compared or parsed."""

from __future__ import annotations

import re
import unicodedata

# Blanks, and the characters that Unicode calls default ignorable.
INVISIBLE = re.compile(
    "[\\s\u00a0\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
HALF_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
HYPHENS = "\\-\u2010-\u2015\u2043\u2212\ufe58\ufe63"
HYPHEN = re.compile(f"[{HYPHENS}]")
MARKS = re.compile(f"[{HYPHENS}()\\[\\]{{}}\u3008-\u3011\u3014-\u301b\ufe59-\ufe5e]")
DOTS = re.compile(
    "[.\u00b7\u02d9\u0387\u2022\u2024\u2027\u2219\u22c5\u25cf\u2e31\u3002\u30fb\ufe52\uff0e\uff61\uff65]"
)
APOSTROPHES = re.compile("[`\u00b4\u02b9\u02bb-\u02bd\u02c8\u2018-\u201b\u2032\u2035]")
PHONE = re.compile(r"(?:\+86|0086|86)?(1[3-9][0-9]{9})")
CARD_NUMBER = re.compile(r"[0-9]{15,19}")


def _fold(text: str) -> str:
    return INVISIBLE.sub("", text.translate(HALF_WIDTH))


def _fold_number(text: str) -> str:
    return MARKS.sub("", _fold(text))


def card_number(typed: str) -> str | None:
    """The digits of a card number; `None` unless 15 to 19 digits remain."""
    digits = _fold_number(typed)
    return digits if CARD_NUMBER.fullmatch(digits) else None


def phone_number(typed: str) -> str | None:
    """`+86…` of a mainland mobile number; `None` for any other text."""
    found = PHONE.fullmatch(_fold_number(typed))
    return f"+86{found[1]}" if found else None


def has_check_digit(digits: str) -> bool:
    doubled = (int(digit) * 2 for digit in digits[-2::-2])
    total = sum(int(digit) for digit in digits[::-2]) + sum(n - 9 if n > 9 else n for n in doubled)
    return total % 10 == 0


def _comparable(name: str) -> str:
    name = unicodedata.normalize("NFKC", DOTS.sub("\u00b7", _fold(name))).lower()
    name = APOSTROPHES.sub("'", DOTS.sub("\u00b7", name))
    return INVISIBLE.sub("", HYPHEN.sub("-", name))


def is_same_name(one: str, other: str) -> bool:
    return _comparable(one) == _comparable(other)


def masked_name(name: str) -> str:
    return f"{name.lstrip()[:1]}*"


def masked_phone(e164: str) -> str:
    return f"{e164[3:6]}****{e164[10:]}"
