"""What a description cannot say: who logs in, what a merchant types, and which codes were sent.

Requests that are meant to be good are made by a merchant who has come as far as the step needs (three times in four), so
that steps are really taken; those that are meant to be bad, and those without a session, are left as they are.
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
# A login opens what wants a fresh one for 15 minutes.
FRESH_S = 10 * 60
# Between two codes to one phone, between reading and signing, and until a standby card can be switched to.
CODE_GAP_S = 61
HOUR_S = 60 * 60
READ_S = 11
STANDBY_S = 24 * 60 * 60 + 60
CODE_SENDERS = {"checkIdentity", "resendIdentityCode", "checkCard", "resendCardCode", "activateCard"}
# Where a change of cards is whose card waits to be switched to.
STANDBY = ("standby", False)
# A change of cards, step by step; after each, its state and whether a code was sent.
WALK = [
    ("createRebind", "", ("identity_pending", False)),
    ("checkIdentity", "/identity", ("identity_pending", True)),
    ("confirmIdentity", "/identity/confirm", ("agreement_pending", False)),
    ("signAgreement", "/agreement", ("card_pending", False)),
    ("checkCard", "/card-check", ("card_pending", True)),
    ("confirmCard", "/card-check/confirm", ("activated", False)),
]
# Where it has to be for a step to be taken.
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
        # The latest change of cards, as a reply has shown it.
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

    def log_in(self, device="first"):
        body = {"account": self.account, "password": self.password, "device_id": f"{device} of {self.account}"}
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
        codes = [re.search(r"\d{6}", text) for text in texts if text.startswith("验证码")]
        return codes[-1].group() if codes else "000000"

    def types(self, operation):
        """The body of a step that has come about; None for one without."""
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
        """Keeps what a step's reply shows. One that was refused says to look again."""
        if "rebind_id" not in reply and self.rebind:
            reply = self.call("GET", f"/v1/rebinds/{self.rebind['rebind_id']}")
        if "rebind_id" in reply:
            self.shows(reply)

    def shows(self, rebind):
        """Keeps what a reply has shown of the latest change of cards."""
        OWNERS[rebind["rebind_id"]] = OWNERS[rebind["new_card"]["card_id"]] = self
        if not self.rebind or rebind["created_at"] >= self.rebind["created_at"]:
            was_standby = self.stands() == STANDBY
            self.rebind = rebind
            if self.stands() == STANDBY and not was_standby:
                self.offset_s += STANDBY_S

    def walk(self, until):
        """From nothing to where a step needs it."""
        # To a phone that had codes before, more can be sent an hour later.
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
            # Somebody who has begun before may have met a limit of the day.
            if "rebind_id" not in reply or self.stands() == until:
                return


MERCHANTS = [Merchant(known) for known in WORLD["merchants"]]
# Whose session a request has unless it is about something of another's; the one who logs out; those who change cards.
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
    """Somebody who has begun nothing, or has only just begun; None when all have changed their cards."""
    free = next((merchant for merchant in OTHERS if merchant.is_free()), None)
    begun = next((merchant for merchant in OTHERS if merchant.stands() == NEEDS["cancelRebind"]), None)
    if free is None and begun is not None:
        begun.learns(begun.call("POST", f"/v1/rebinds/{begun.rebind['rebind_id']}/cancel"))
    return free or begun


def who_can(operation):
    """Somebody who can take this step, brought there if nobody is."""
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
    # Only what has HOME's session: a request without one, or with a made-up one, is to be refused for it.
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
        # Almost any clock that is made up is one at which the session is dead.
        case.headers["X-Sandbox-Now"] = merchant.clock()
    case.headers["Authorization"] = merchant.bearer()


def put_in_place(case, operation, merchant):
    """Has the step taken by somebody who can take it, unless the one whose object it is about can. Who that is."""
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
    """What one merchant sees or changes is not there for another one."""
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
    """A method that a path does not have is the same problem as a path that is not there."""
    if case.method.lower() != case.operation.method.lower():
        assert response.status_code == 404, f"{case.method} of another method's path: {response.status_code}"
        assert response.json()["code"] == "NOT_FOUND"


@schemathesis.check
def is_not_stored(ctx, response, case):
    """No reply may be stored on its way, and each problem can be found in the log."""
    assert response.headers.get("cache-control") == ["no-store"], "Cache-Control is not no-store"
    if response.status_code >= 400:
        assert response.json().get("support_ref"), "a problem without a support_ref"
