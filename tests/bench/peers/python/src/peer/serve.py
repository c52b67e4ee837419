"""One request: its route, its clock, its reply and its log line."""

import json
import os
import re
import secrets
import time
from collections.abc import Callable
from datetime import datetime

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from .problem import Problem

logger = Logger(service="settlement-rebind")

SUPPORT_REF = re.compile(r"[A-Za-z0-9_=-]{1,64}")
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
IS_SANDBOX = os.environ.get("STAGE") == "sandbox"


def to_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def reply(status: int, body: dict, media_type: str = "application/json", **headers: str) -> dict:
    return {
        "statusCode": status,
        "headers": {"cache-control": "no-store", "content-type": media_type, **headers},
        "body": to_json(body),
    }


def _refusal(problem: Problem, support_ref: str) -> dict:
    wait_s = problem.retry_after_s
    headers = {} if wait_s is None else {"retry-after": str(wait_s)}
    return reply(problem.status, problem.document(support_ref), "application/problem+json", **headers)


def _clock(event: dict) -> int:
    """The clock of the business rules. Callers may set it in the sandbox only."""
    given = event.get("headers", {}).get("x-sandbox-now")
    if given is None:
        return int(time.time())
    if not IS_SANDBOX or not RFC_3339.fullmatch(given):
        raise Problem("REQUEST_MALFORMED")
    try:
        return int(datetime.fromisoformat(given.upper()).timestamp() // 1)
    except ValueError:
        raise Problem("REQUEST_MALFORMED") from None


def serve(method: str, path: str, handle: Callable[[dict, int, LambdaContext], dict]) -> Callable:
    """A Lambda handler for one route: `handle` gets the event, the time and the Lambda context."""

    @logger.inject_lambda_context
    def handler(event: dict, context: LambdaContext) -> dict:
        started = time.perf_counter()
        request_id = event["requestContext"].get("requestId", "")
        support_ref = request_id if SUPPORT_REF.fullmatch(request_id) else secrets.token_hex(8)
        code = None
        try:
            if (event["requestContext"]["http"]["method"], event["rawPath"]) != (method, path):
                raise Problem("NOT_FOUND")
            answer = handle(event, _clock(event), context)
        except Problem as problem:
            code, answer = problem.code, _refusal(problem, support_ref)
        except Exception:
            logger.exception("request.failed")
            code, answer = "INTERNAL", _refusal(Problem("INTERNAL", retry_after_s=1), support_ref)
        logger.info(
            "request.answered",
            http={"route": f"{method} {path}", "status": answer["statusCode"]},
            problem=code,
            support_ref=support_ref,
            duration_ms=round((time.perf_counter() - started) * 1_000),
        )
        return answer

    return handler
