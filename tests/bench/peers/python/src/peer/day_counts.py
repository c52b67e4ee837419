"""The day's rebinds, counted for all young devices together and for each older device."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import accumulate, pairwise

from . import policy
from .problem import Problem
from .session import Device
from .times import age_s

OLDER_MAX = 2


@dataclass(slots=True)
class Counts:
    tag: str
    first_seen: int
    wrong: list[int] = field(default_factory=list)
    rebinds: list[int] = field(default_factory=list)
    refunded: list[int] = field(default_factory=list)

    def is_empty(self) -> bool:
        return not (self.wrong or self.rebinds or self.refunded)

    def stored(self) -> list:
        """Times are stored as the first one, then as steps."""
        times = [0, *self.wrong, *self.rebinds, *self.refunded]
        steps = [after - before for before, after in pairwise(times)]
        return [self.tag, self.first_seen, len(self.wrong), len(self.rebinds), steps]


def _read(stored: list, now: int) -> Counts:
    tag, first_seen, wrong, rebinds, steps = stored
    times = list(accumulate(steps))

    def recent(part: list[int]) -> list[int]:
        return [at for at in part if age_s(at, now) < policy.DAY_S]

    end = wrong + rebinds
    return Counts(tag, first_seen, recent(times[:wrong]), recent(times[wrong:end]), recent(times[end:]))


@dataclass(slots=True)
class DayCounts:
    """The counts of all devices; `own` are those that apply to the device of the session."""

    older: list[Counts]
    young: Counts
    own: Counts

    def check_limit(self, now: int) -> None:
        counted = _wait_s(self.own.rebinds, policy.REBINDS_PER_DAY, now)
        created = _wait_s(self.own.rebinds + self.own.refunded, policy.CREATIONS_PER_DAY, now)
        if wait_s := max(counted, created):
            raise Problem("DAILY_REQUEST_LIMIT", ["wait"], retry_after_s=wait_s, counts_toward_limit=False)

    def count_rebind(self, now: int) -> list:
        """The stored counts after one more rebind."""
        self.own.rebinds.append(now)
        return [counts.stored() for counts in [*self.older, self.young] if not counts.is_empty()]


def _wait_s(times: list[int], limit: int, now: int) -> int:
    """Seconds until one more entry fits; 0 if it fits now."""
    if len(times) < limit:
        return 0
    ages = sorted(age_s(at, now) for at in times)
    return max(policy.DAY_S - ages[limit - 1], 1)


def counts_of(merchant: dict, device: Device, now: int) -> DayCounts:
    every = [_read(stored, now) for stored in merchant["state"].get("day", [])]
    young = next((counts for counts in every if not counts.tag), Counts("", 0))
    older = [counts for counts in every if counts.tag and not counts.is_empty()]
    if age_s(device.first_seen, now) < policy.DEVICE_YOUNG_S:
        return DayCounts(older, young, young)
    if all(counts.tag != device.tag for counts in older):
        older.append(Counts(device.tag, device.first_seen))
        older.sort(key=lambda counts: counts.first_seen)
        for surplus in older[OLDER_MAX:]:
            young.wrong = sorted(young.wrong + surplus.wrong)
            young.rebinds = sorted(young.rebinds + surplus.rebinds)
            young.refunded = sorted(young.refunded + surplus.refunded)
        del older[OLDER_MAX:]
    own = next((counts for counts in older if counts.tag == device.tag), young)
    return DayCounts(older, young, own)
