// Powertools' idempotency on the main table. A refusal is thrown, so only successes are kept.
import {
  IdempotencyAlreadyInProgressError,
  IdempotencyConfig,
  IdempotencyPersistenceLayerError,
  IdempotencyValidationError,
  makeIdempotent,
} from '@aws-lambda-powertools/idempotency';
import { DynamoDBPersistenceLayer } from '@aws-lambda-powertools/idempotency/dynamodb';
import { policy } from './policy.mjs';
import { Problem } from './problem.mjs';
import { dynamodb } from './store.mjs';

const config = new IdempotencyConfig({
  eventKeyJmesPath: 'scope',
  payloadValidationJmesPath: 'fingerprint',
  throwOnNoIdempotencyKey: true,
  expiresAfterSeconds: policy.idempotencyS,
  hashFunction: 'sha256',
  responseHook: (kept) => ({ ...kept, headers: { ...kept.headers, 'idempotent-replayed': 'true' } }),
});

const persistenceStore = new DynamoDBPersistenceLayer({
  tableName: process.env.TABLE,
  keyAttr: 'pk',
  sortKeyAttr: 'sk',
  expiryAttr: 'ttl',
  awsSdkV3Client: dynamodb,
});

/** Runs `action` once for each scope: merchant, method, path and key. The body's fingerprint must stay the same. */
export const once = (action) => {
  const idempotent = makeIdempotent((_, ...rest) => action(...rest), { persistenceStore, config, dataIndexArgument: 0 });
  return async (identity, context, ...rest) => {
    config.registerLambdaContext(context);
    try {
      return await idempotent(identity, ...rest);
    } catch (error) {
      if (error instanceof IdempotencyValidationError) throw new Problem('IDEMPOTENCY_MISMATCH');
      if (error instanceof IdempotencyAlreadyInProgressError) throw new Problem('VERSION_CONFLICT', { retry_after_s: 1 });
      throw error instanceof IdempotencyPersistenceLayerError && error.cause ? error.cause : error;
    }
  };
};
