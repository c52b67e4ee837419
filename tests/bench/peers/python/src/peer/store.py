"""The table: one read of a merchant, one transaction for a new rebind."""

from __future__ import annotations

import hashlib
import json
import os

from .clients import dynamodb, pool
from .problem import Problem
from .serve import to_json
from .session import Session
from .times import utc_month

TABLE = os.environ["TABLE"]
RECORD_TABLE = os.environ["RECORD_TABLE"]
READS_MAX = 4
FORMAT = "1"


class Conflict(Exception):
    """Another write came first."""


def _check_format(item: dict) -> None:
    if item.get("v", {}).get("N") != FORMAT:
        raise ValueError("the format of an item is unknown")


def _read_rebind(item: dict) -> dict:
    _check_format(item)
    record = json.loads(item["state"]["S"])
    return {**record, "number": int(record["id"][4:10], 16)}


def _read_state(item: dict) -> dict:
    _check_format(item)
    cooldown = item.get("cooldown_until")
    return {
        "state": json.loads(item["state"]["S"]),
        "version": int(item["version"]["N"]),
        "cooldown_until": cooldown and int(cooldown["N"]),
        "sessions": [item.get(f"s{slot}", {}).get("B") for slot in range(5)],
    }


def _is_torn(merchant: dict) -> bool:
    """True if the items come from different commits: the read saw half of a transaction."""
    state, rebind = merchant["state"], merchant["rebind"]
    if merchant["profile"]["version"] != state["rec"]:
        return True
    if rebind is None:
        return state["n"] > 0
    if rebind["number"] == state["n"]:
        return rebind["ver"] != state["rv"]
    return rebind["number"] > state["n"]


def _read_once(merchant_id: str, consistent: bool) -> dict | None:
    pk = {"S": f"M#{merchant_id}"}
    record = pool.submit(
        dynamodb.get_item,
        TableName=RECORD_TABLE,
        Key={"pk": pk, "sk": {"S": "Z"}},
        ConsistentRead=consistent,
    )
    tail = dynamodb.query(
        TableName=TABLE,
        KeyConditionExpression="pk = :pk AND sk BETWEEN :first AND :last",
        ExpressionAttributeValues={":pk": pk, ":first": {"S": "R#000000"}, ":last": {"S": "Y"}},
        ScanIndexForward=False,
        Limit=2,
        ConsistentRead=True,
    )
    profile = record.result().get("Item")
    items = {item["sk"]["S"][0]: item for item in tail["Items"]}
    if profile is None or "Y" not in items:
        return None
    _check_format(profile)
    return {
        "id": merchant_id,
        **_read_state(items["Y"]),
        "profile": {**json.loads(profile["state"]["S"]), "version": int(profile["version"]["N"])},
        "rebind": _read_rebind(items["R"]) if "R" in items else None,
    }


def load_merchant(merchant_id: str) -> dict | None:
    """The merchant's state, profile and latest rebind; `None` for an unknown merchant."""
    for reads in range(READS_MAX):
        merchant = _read_once(merchant_id, consistent=reads > 0)
        if merchant is None or not _is_torn(merchant):
            return merchant
    raise Problem("VERSION_CONFLICT", retry_after_s=1)


def _put(item: dict) -> dict:
    put = {"TableName": TABLE, "Item": item, "ConditionExpression": "attribute_not_exists(pk)"}
    return {"Put": put}


def _state_update(merchant: dict, state: dict, session: Session, now: int) -> dict:
    update = {
        "TableName": TABLE,
        "Key": {"pk": {"S": f"M#{merchant['id']}"}, "sk": {"S": "Y"}},
        "UpdateExpression": "SET #version = :next, #state = :state, #session = :session",
        # Independent of the state that was read: no cooldown may run when a rebind begins.
        "ConditionExpression": "#version = :read AND begins_with(#session, :token) AND "
        "(attribute_not_exists(cooldown_until) OR cooldown_until <= :now)",
        "ExpressionAttributeNames": {
            "#version": "version",
            "#state": "state",
            "#session": session.attribute,
        },
        "ExpressionAttributeValues": {
            ":read": {"N": str(merchant["version"])},
            ":next": {"N": str(merchant["version"] + 1)},
            ":state": {"S": to_json(state)},
            ":session": {"B": session.changed(now)},
            ":token": {"B": session.prefix},
            ":now": {"N": str(now)},
        },
    }
    return {"Update": update}


def _rebind_item(merchant_id: str, number: int, record: dict, sealed: bytes, device_at: int) -> dict:
    shard = hashlib.sha256(merchant_id.encode()).digest()[0] % 4
    return {
        "pk": {"S": f"M#{merchant_id}"},
        "sk": {"S": f"R#{number:06x}"},
        "v": {"N": FORMAT},
        "rev": {"N": "1"},
        "state": {"S": to_json(record)},
        "number": {"B": sealed},
        "device": {"N": str(device_at)},
        "due_bucket": {"S": f"{utc_month(record['exp'])}#{shard}"},
        "due_at": {"N": str(record["exp"])},
    }


def _event_item(event: dict) -> dict:
    return {
        "pk": {"S": f"M#{event['merchant_id']}"},
        "sk": {"S": f"E#{event['seq']:010}"},
        "v": {"N": FORMAT},
        "at": {"N": str(event["at"])},
        "kind": {"S": event["kind"]},
        "policy": {"N": str(event["policy"])},
        "data": {"S": to_json(event["data"])},
        "prev_hash": {"S": event["prev_hash"]},
        "hash": {"S": event["hash"]},
    }


def commit_rebind(
    merchant: dict, state: dict, record: dict, sealed: bytes, event: dict, session: Session, now: int
) -> None:
    """Writes state, rebind and event in one transaction."""
    device_at = session.device.first_seen
    writes = [
        _state_update(merchant, state, session, now),
        _put(_rebind_item(merchant["id"], state["n"], record, sealed, device_at)),
        _put(_event_item(event)),
    ]
    try:
        dynamodb.transact_write_items(TransactItems=writes)
    except dynamodb.exceptions.TransactionCanceledException as error:
        codes = {reason.get("Code") for reason in error.response.get("CancellationReasons", [])}
        if codes & {"ConditionalCheckFailed", "TransactionConflict"}:
            raise Conflict from error
        raise
