// `POST /v1/rebinds`.
import * as z from 'zod/mini';
import { idempotencyKey, readBody } from './body.mjs';
import { createRebind } from './create.mjs';
import { canonical } from './history.mjs';
import { once } from './idempotency.mjs';
import { hashKey } from './keys.mjs';
import { reply, serve } from './serve.mjs';
import { liveSession, presentedToken } from './session.mjs';
import { loadMerchant } from './store.mjs';

const { LOOK_UP_KEY, CARD_AND_ID_KEY } = process.env;
const METHOD = 'POST';
const PATH = '/v1/rebinds';

const CreateRebind = z.strictObject({
  card_number: z.nullish(z.string()),
  holder_name: z.nullish(z.string()),
  reserved_phone: z.nullish(z.string()),
  reason: z.nullish(z.string()),
  activate: z.nullish(z.boolean()),
  number_confirmed: z.nullish(z.boolean()),
});

const [lookUp, cardAndId] = await Promise.all([
  hashKey(LOOK_UP_KEY, ['idempotency']),
  hashKey(CARD_AND_ID_KEY, ['card', 'body-with-card']),
]);

const createOnce = once(async (...request) => reply(201, await createRebind(...request)));

export const handler = serve(METHOD, PATH, async (event, now, context) => {
  const body = readBody(event, CreateRebind);
  const key = idempotencyKey(event);
  const token = presentedToken(event);
  const merchant = await loadMerchant(token.merchantId);
  liveSession(merchant, token, now);
  const identity = {
    scope: lookUp.idempotency(token.merchantId, METHOD, PATH, key, cardAndId.version),
    fingerprint: cardAndId['body-with-card'](token.merchantId, canonical(body)),
  };
  return createOnce(identity, context, merchant, token, body, cardAndId.card, now);
});
