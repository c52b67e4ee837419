// The hash chain of a merchant's events.
import { createHash } from 'node:crypto';

/** RFC 8785 for the values that occur: objects, strings, integers, booleans and null. */
export const canonical = (value) => {
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  const members = Object.keys(value).sort();
  return `{${members.map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join(',')}}`;
};

/** The next event of the chain whose end the merchant's state records. */
export const nextEvent = (merchantId, state, { kind, at, policy, data }) => {
  const event = {
    at,
    data,
    kind,
    merchant_id: merchantId,
    personal_sha256: null,
    policy,
    prev_hash: Buffer.from(state.hash, 'base64url').toString('hex'),
    seq: state.seq + 1,
  };
  return { ...event, hash: createHash('sha256').update(canonical(event)).digest('hex') };
};
