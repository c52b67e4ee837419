"""Powertools' idempotency on the main table. A refusal is raised, so only successes are kept."""

from collections.abc import Callable

from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)
from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyAlreadyInProgressError,
    IdempotencyValidationError,
)
from aws_lambda_powertools.utilities.idempotency.persistence.datarecord import DataRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from . import policy
from .clients import dynamodb
from .problem import Problem
from .store import TABLE


def _replayed(kept: dict, _: DataRecord) -> dict:
    return {**kept, "headers": {**kept["headers"], "idempotent-replayed": "true"}}


config = IdempotencyConfig(
    event_key_jmespath="scope",
    payload_validation_jmespath="fingerprint",
    raise_on_no_idempotency_key=True,
    expires_after_seconds=policy.IDEMPOTENCY_S,
    hash_function="sha256",
    response_hook=_replayed,
)
persistence = DynamoDBPersistenceLayer(
    table_name=TABLE,
    key_attr="pk",
    sort_key_attr="sk",
    expiry_attr="ttl",
    boto3_client=dynamodb,
)


def once(action: Callable[..., dict]) -> Callable[..., dict]:
    """Runs `action` once for each scope: merchant, method, path and key. The body's fingerprint must stay the same."""

    @idempotent_function(data_keyword_argument="identity", config=config, persistence_store=persistence)
    def idempotent(*request: object, identity: dict) -> dict:
        return action(*request)

    def run(identity: dict, context: LambdaContext, *request: object) -> dict:
        config.register_lambda_context(context)
        try:
            return idempotent(*request, identity=identity)
        except IdempotencyValidationError:
            raise Problem("IDEMPOTENCY_MISMATCH") from None
        except IdempotencyAlreadyInProgressError:
            raise Problem("VERSION_CONFLICT", retry_after_s=1) from None

    return run
