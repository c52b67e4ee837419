"""Type and bank of a card by the prefix of its number."""

from __future__ import annotations

from .data import load

_table = load("bins.json")
_bins, _lengths = _table["bins"], _table["lengths"]


def bin_of(digits: str) -> tuple[str, str | None]:
    """Type and bank by the longest prefix for this length of number."""
    for length in _lengths:
        found = _bins.get(f"{digits[:length]}/{len(digits)}")
        if found:
            return found[0], found[1]
    return "unknown", None
