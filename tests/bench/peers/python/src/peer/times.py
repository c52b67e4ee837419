"""Times are whole seconds since 1970. Replies show them at +08:00."""

from datetime import UTC, datetime, timedelta, timezone

SHANGHAI = timezone(timedelta(hours=8))


def shown(epoch_s: int) -> str:
    return datetime.fromtimestamp(epoch_s, SHANGHAI).isoformat()


def shanghai_date(epoch_s: int) -> str:
    return datetime.fromtimestamp(epoch_s, SHANGHAI).date().isoformat()


def utc_month(epoch_s: int) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y%m")


def age_s(at: int, now: int) -> int:
    """Seconds from `at` to `now`; 0 for a time in the future."""
    return max(now - at, 0)


def seconds_until(until: int, now: int) -> int:
    return max(until - now, 1)
