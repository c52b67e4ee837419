"""Supplies the parts of a request that a description cannot contain: sessions, merchants' data, and the OTPs that were sent.

Three of four valid requests are moved to a merchant in the state that the step requires, so that steps succeed. Invalid
requests and requests without a session are not changed.
"""

import itertools
import json
import os
import re
from datetime import datetime, timedelta, timezone

import requests
import schemathesis

with open(os.environ["SCHEMATHESIS_WORLD"], encoding="utf-8") as file:
    WORLD = json.load(file)

API = WORLD["api_url"]
TIMEOUT_S = 30
# A login counts as fresh for 15 minutes; this is well below.
FRESH_S = 10 * 60
# Waits: between two OTPs to one phone, between reading and signing, and until a standby card is usable.
CODE_GAP_S = 61
HOUR_S = 60 * 60
READ_S = 11
STANDBY_S = 24 * 60 * 60 + 60
CODE_SENDERS = {"checkIdentity", "resendIdentityCode", "checkCard", "resendCardCode", "activateCard"}
# The state of a rebind whose card is a standby card.
STANDBY = ("standby", False)
# A rebind, step by step, with the state after each step and a flag for a pending challenge.
WALK = [
    ("createRebind", "", ("identity_pending", False)),
    ("checkIdentity", "/identity", ("identity_pending", True)),
    ("confirmIdentity", "/identity/confirm", ("agreement_pending", False)),
    ("signAgreement", "/agreement", ("card_pending", False)),
    ("checkCard", "/card-check", ("card_pending", True)),
    ("confirmCard", "/card-check/confirm", ("activated", False)),
]
# The state that each step requires.
NEEDS = {
    "getRebind": ("identity_pending", False),
    "cancelRebind": ("identity_pending", False),
    "checkIdentity": ("identity_pending", False),
    "resendIdentityCode": ("identity_pending", True),
    "confirmIdentity": ("identity_pending", True),
    "getAgreement": ("agreement_pending", False),
    "signAgreement": ("agreement_pending", False),
    "checkCard": ("card_pending", False),
    "resendCardCode": ("card_pending", True),
    "confirmCard": ("card_pending", True),
    "testTransaction": ("activated", False),
    "activateCard": STANDBY,
    "unbindCard": STANDBY,
}
CARDS = itertools.count(WORLD["first_card"])
TURN = itertools.count()


def luhn(digits):
    total = sum(sum(divmod(int(d) * (2 - i % 2), 10)) for i, d in enumerate(reversed(digits)))
    return digits + str(-total % 10)


class Merchant:
    """One that has an app, and a clock of its own."""

    def __init__(self, known):
        self.__dict__.update(known)
        self.offset_s = 0
        self.token = None
        self.logged_in_at = None
        # The latest rebind, from the last reply that contained it.
        self.rebind = None

    def now(self):
        return datetime.now(timezone.utc) + timedelta(seconds=self.offset_s)

    def clock(self):
        return self.now().isoformat(timespec="seconds")

    def stands(self):
        if not self.rebind:
            return None
        waits = self.rebind["new_card"]["status"] == STANDBY[0]
        return STANDBY if waits else (self.rebind["state"], self.rebind["challenge"] is not None)

    def is_free(self):
        return not self.rebind or self.rebind["state"] in ("cancelled", "expired")

    def log_in(self, device="dev-1"):
        body = {"account": self.account, "password": self.password, "device_id": device}
        headers = {"X-Sandbox-Now": self.clock()}
        reply = requests.post(f"{API}/v1/sessions", json=body, headers=headers, timeout=TIMEOUT_S)
        reply.raise_for_status()
        return "Bearer " + reply.json()["token"]

    def bearer(self):
        if self.token is None or (self.now() - self.logged_in_at).total_seconds() > FRESH_S:
            self.token, self.logged_in_at = self.log_in(), self.now()
        return self.token

    def call(self, method, path, body=None):
        headers = {"Authorization": self.bearer(), "X-Sandbox-Now": self.clock()}
        headers["Idempotency-Key"] = f"hooks-{next(TURN)}"
        reply = requests.request(method, API + path, headers=headers, json=body, timeout=TIMEOUT_S)
        assert reply.status_code < 500, f"{method} {path}: {reply.status_code}"
        return reply.json() if reply.content else {}

    def code(self, phone):
        messages = requests.get(WORLD["sms_url"], params={"phoneNumber": phone}, timeout=TIMEOUT_S).json()
        texts = [sms["Message"] for of_phone in messages["sms_messages"].values() for sms in of_phone]
        texts = [text.partition("】")[2] for text in texts]  # each begins with the sender's signature
        codes = [re.search(r"\d{6}", text) for text in texts if text.startswith("验证码")]
        return codes[-1].group() if codes else "000000"

    def types(self, operation):
        """The body of a step for this merchant; None for a step without a body."""
        if operation == "createRebind":
            return {
                "card_number": luhn(f"622202{next(CARDS):012}"),
                "holder_name": self.holder_name,
                "reserved_phone": self.reserved_phone,
                "reason": "replace",
            }
        if operation == "checkIdentity":
            return {"document_number": self.document_number, "document_expires_on": self.expires_on}
        if operation == "confirmIdentity":
            return {"code": self.code(self.phone)}
        if operation == "confirmCard":
            return {"code": self.code(self.reserved_phone)}
        if operation == "activateCard":
            self.call("POST", f"/v1/cards/{self.rebind['new_card']['card_id']}/activate")
            return {"code": self.code(self.phone)}
        if operation == "signAgreement":
            text = self.call("GET", f"/v1/rebinds/{self.rebind['rebind_id']}/agreement")
            self.offset_s += READ_S
            return {
                **{name: text.get(name, "") for name in ("version", "sha256", "reading_token")},
                "signed_name": self.holder_name,
                "consents": [consent["id"] for consent in text.get("consents", [])],
            }
        return None

    def learns(self, reply):
        """Keeps the rebind of a reply. After a refusal it reads the rebind again."""
        if "rebind_id" not in reply and self.rebind:
            reply = self.call("GET", f"/v1/rebinds/{self.rebind['rebind_id']}")
        if "rebind_id" in reply:
            self.shows(reply)

    def shows(self, rebind):
        """Keeps the latest rebind of a reply."""
        OWNERS[rebind["rebind_id"]] = OWNERS[rebind["new_card"]["card_id"]] = self
        if not self.rebind or rebind["created_at"] >= self.rebind["created_at"]:
            was_standby = self.stands() == STANDBY
            self.rebind = rebind
            if self.stands() == STANDBY and not was_standby:
                self.offset_s += STANDBY_S

    def walk(self, until):
        """Takes a new rebind to the state `until`."""
        # The hourly OTP limit of the phone resets.
        self.offset_s += HOUR_S if self.rebind else 0
        for operation, path, _ in WALK:
            if operation in CODE_SENDERS:
                self.offset_s += CODE_GAP_S
            body = self.types(operation)
            if operation == "createRebind":
                body["activate"] = until != STANDBY
                reply = self.call("POST", "/v1/rebinds", body)
            else:
                reply = self.call("POST", f"/v1/rebinds/{self.rebind['rebind_id']}{path}", body)
            self.learns(reply)
            # A merchant with an earlier rebind may have reached a daily limit.
            if "rebind_id" not in reply or self.stands() == until:
                return


MERCHANTS = [Merchant(known) for known in WORLD["merchants"]]
# HOME's session is the default. GUEST logs out. OTHERS change their cards; requests on their objects use their sessions.
HOME, GUEST, *OTHERS = MERCHANTS
OWNERS = {}


@schemathesis.auth(refresh_interval=FRESH_S // 2)
class Session:
    """The session of HOME."""

    def get(self, case, context):
        return HOME.bearer()

    def set(self, case, data, context):
        case.headers["Authorization"] = data


def operation_id(case):
    return case.operation.definition.raw.get("operationId")


def is_good(case):
    return case.meta is None or case.meta.generation.mode.is_positive


def object_of(case):
    """The rebind or card in the path."""
    parameters = case.path_parameters or {}
    return parameters.get("id", parameters.get("card_id"))


def who_is_free():
    """A merchant without an open rebind, or with one that can be cancelled; None if all have changed their cards."""
    free = next((merchant for merchant in OTHERS if merchant.is_free()), None)
    begun = next((merchant for merchant in OTHERS if merchant.stands() == NEEDS["cancelRebind"]), None)
    if free is None and begun is not None:
        begun.learns(begun.call("POST", f"/v1/rebinds/{begun.rebind['rebind_id']}/cancel"))
        # So that the rebinds of a day stay below the limit of creations.
        begun.offset_s += 2 * HOUR_S
    return free or begun


def who_can(operation):
    """A merchant whose rebind permits this step; takes one to that state if necessary."""
    if operation == "createRebind":
        return who_is_free()
    needed = NEEDS[operation]
    there = next((merchant for merchant in OTHERS if merchant.stands() == needed), None)
    if there is None:
        there = who_is_free()
        if there is not None:
            there.walk(needed)
    return there


@schemathesis.hook
def before_call(context, case, kwargs):
    operation = operation_id(case)
    # Changes only requests with HOME's session: the others have none or an invalid one, and must be refused.
    if not case.headers or case.headers.get("Authorization") != HOME.token:
        return
    if operation == "deleteSession":
        case.headers["Authorization"] = GUEST.log_in(f"device {next(TURN) % 5}")
        return
    merchant = OWNERS.get(object_of(case), HOME)
    if is_good(case):
        if (operation in NEEDS or operation == "createRebind") and next(TURN) % 4:
            merchant = put_in_place(case, operation, merchant)
        if operation in CODE_SENDERS:
            merchant.offset_s += CODE_GAP_S
        if "Idempotency-Key" in case.headers and next(TURN) % 4:
            case.headers["Idempotency-Key"] = f"case-{next(TURN)}"
        # At almost any generated clock the session has expired.
        case.headers["X-Sandbox-Now"] = merchant.clock()
    case.headers["Authorization"] = merchant.bearer()


def put_in_place(case, operation, merchant):
    """Moves the request to a merchant who can take the step, unless its owner can. Returns that merchant."""
    if operation == "createRebind" or merchant.stands() != NEEDS[operation]:
        merchant = who_can(operation) or merchant
    rebind = merchant.rebind
    if rebind and "id" in (case.path_parameters or {}):
        case.path_parameters["id"] = rebind["rebind_id"]
    if rebind and "card_id" in (case.path_parameters or {}):
        case.path_parameters["card_id"] = rebind["new_card"]["card_id"]
    body = merchant.types(operation) if rebind or operation == "createRebind" else None
    if body is not None:
        case.body = body
    return merchant


@schemathesis.hook
def after_call(context, case, response):
    if not 200 <= response.status_code < 300:
        return
    body = response.json() if response.content else {}
    rebind = body if "rebind_id" in body else body.get("rebind")
    sender = response.request.headers.get("Authorization")
    merchant = next((known for known in MERCHANTS if known.token == sender), None)
    if rebind and merchant:
        merchant.shows(rebind)
    if operation_id(case) == "unbindCard" and merchant and merchant.stands() == STANDBY:
        merchant.rebind["new_card"]["status"] = "removed"


ASKED = set()


@schemathesis.check
def is_not_anothers(ctx, response, case):
    """An object of one merchant is not found for another."""
    about = object_of(case)
    owner = OWNERS.get(about)
    asked = (operation_id(case), about)
    if owner is None or not 200 <= response.status_code < 300 or asked in ASKED:
        return
    ASKED.add(asked)
    stranger = GUEST if owner is HOME else HOME
    request = response.request
    headers = {**request.headers, "Authorization": stranger.bearer(), "X-Sandbox-Now": stranger.clock()}
    headers.pop("Idempotency-Key", None)
    reply = requests.request(request.method, request.url, headers=headers, data=request.body, timeout=TIMEOUT_S)
    assert reply.status_code == 404, f"another merchant gets {reply.status_code} for {about}"


@schemathesis.check
def is_not_there(ctx, response, case):
    """An unknown method of a path gets the same problem as an unknown path."""
    if case.method.lower() != case.operation.method.lower():
        assert response.status_code == 404, f"{case.method} of another method's path: {response.status_code}"
        assert response.json()["code"] == "NOT_FOUND"


@schemathesis.check
def is_not_stored(ctx, response, case):
    """No reply may be cached, and each problem has a reference to its log line."""
    assert response.headers.get("cache-control") == ["no-store"], "Cache-Control is not no-store"
    if response.status_code >= 400:
        assert response.json().get("support_ref"), "a problem without a support_ref"
