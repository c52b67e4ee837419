// The request's body and its idempotency key.
import { parse } from '@aws-lambda-powertools/parser';
import { ParseError } from '@aws-lambda-powertools/parser/errors';
import { Problem } from './problem.mjs';

const BODY_MAX_BYTES = 16 * 1_024;
const KEY = /^[\x20-\x7e]{1,255}$/;

/** The members of a JSON body that has this shape. */
export const readBody = (event, schema) => {
  const bytes = Buffer.from(event.body ?? '', event.isBase64Encoded ? 'base64' : 'utf8');
  if (bytes.length > BODY_MAX_BYTES) throw new Problem('BODY_TOO_LARGE');
  try {
    return parse(JSON.parse(bytes.toString().trim() || '{}'), undefined, schema);
  } catch (error) {
    if (error instanceof ParseError || error instanceof SyntaxError) throw new Problem('REQUEST_MALFORMED');
    throw error;
  }
};

export const idempotencyKey = (event) => {
  const key = event.headers?.['idempotency-key'] ?? '';
  if (!KEY.test(key)) throw new Problem('REQUEST_MALFORMED');
  return key;
};
