// Creates a rebind: decides on the merchant that was read, and writes one transaction.
import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { binOf } from './bins.mjs';
import { checkDailyLimit, countRebind, countsOf } from './day-counts.mjs';
import { nextEvent } from './history.mjs';
import { seal } from './keys.mjs';
import { policy } from './policy.mjs';
import { invalidFields, Problem } from './problem.mjs';
import { checkFreshLogin, checkNotFrozen, checkRebindAllowed } from './rules.mjs';
import { changedSession, liveSession } from './session.mjs';
import { commitRebind, Conflict, loadMerchant } from './store.mjs';
import { cardNumber, hasCheckDigit, isSameName, maskedName, phoneNumber } from './text.mjs';
import { rebindView } from './view.mjs';

const ALPHABET = '0123456789bcdfghjklmnpqrstvwxyzA';
const REASONS = ['replace', 'lost'];
const RETRIES_MAX = 5;

const newId = (prefix, number) => {
  const random = Array.from(randomBytes(16), (byte) => ALPHABET[byte & 31]).join('');
  return `${prefix}_${number.toString(16).padStart(6, '0')}${random}`;
};

/** The valid fields. Throws with all invalid ones at once. */
const validFields = (body, holder) => {
  const digits = cardNumber(body.card_number ?? '');
  const phone = phoneNumber(body.reserved_phone ?? '');
  const errors = [];
  const next = [];
  const refuse = (field, code) => errors.push({ field, code });
  if (!digits) {
    refuse('card_number', 'CARD_FORMAT');
  } else if (!hasCheckDigit(digits) && !body.number_confirmed) {
    refuse('card_number', 'CARD_LUHN');
    next.push('confirm_card_number');
  }
  if (!isSameName(body.holder_name ?? '', holder)) {
    refuse('holder_name', 'HOLDER_NOT_MERCHANT');
    next.push('contact_support');
  }
  if (!phone) refuse('reserved_phone', 'PHONE_FORMAT');
  if (!REASONS.includes(body.reason)) refuse('reason', 'REQUEST_MALFORMED');
  if (errors.length) throw invalidFields(errors, next);
  return { digits, phone, reason: body.reason, purpose: body.activate === false ? 'standby' : 'activate' };
};

const checkCard = ({ state }, { type, fingerprint }) => {
  const refused = (code, next) => new Problem(code, { errors: [{ field: 'card_number', code }], next });
  if (type === 'credit' || type === 'quasi_credit') throw refused('CARD_TYPE_CREDIT', ['contact_support']);
  if (type === 'prepaid') throw refused('CARD_TYPE_PREPAID', ['contact_support']);
  if (state.act?.fp === fingerprint) throw refused('CARD_SAME_AS_CURRENT');
  if (state.stby?.some(({ fp }) => fp === fingerprint)) {
    throw refused('CARD_SAME_AS_CURRENT', ['activate_standby', 'unbind_card']);
  }
};

const checkStandbyLimit = ({ state }, purpose) => {
  if (purpose === 'standby' && (state.stby?.length ?? 0) >= policy.standbyMax) {
    throw new Problem('STEP_OUT_OF_ORDER', { next: ['activate_standby', 'unbind_card'] });
  }
};

const newRecord = ({ state }, number, fields, card, now) => ({
  id: newId('rbd', number),
  ver: 1,
  for: fields.purpose,
  why: fields.reason,
  new: [newId('card', number), card.bankCode ?? null, card.type, fields.digits.slice(-4), now],
  ...(state.act && { old: state.act.c }),
  fp: card.fingerprint,
  tel: fields.phone,
  at: now,
  exp: now + policy.rebindLifeS,
  st: { identity_pending: { mis: 0, ok: false, att: { n: 0, w: 0 } } },
});

/** The event, and the merchant's state after it. */
const transition = (merchant, record, number, holder, counts, now) => {
  const [cardId, bankCode, , last4] = record.new;
  const data = {
    rebind_id: record.id,
    card_id: cardId,
    bank_code: bankCode ?? 'UNKNOWN',
    last4,
    purpose: record.for,
    reason: record.why,
    holder: maskedName(holder),
  };
  const event = nextEvent(merchant.id, merchant.state, { kind: 'rebind_requested', at: now, policy: policy.version, data });
  const state = {
    ...merchant.state,
    seq: event.seq,
    hash: Buffer.from(event.hash, 'hex').toString('base64url'),
    n: number,
    rv: record.ver,
    open: number,
    day: countRebind(counts, now),
  };
  return { event, state };
};

const createOn = async (merchant, token, body, cardHash, now) => {
  const session = liveSession(merchant, token, now);
  const holder = merchant.profile.sname ?? merchant.profile.name;
  checkNotFrozen(merchant);
  checkFreshLogin(session, now);
  const fields = validFields(body, holder);
  const card = { type: 'unknown', ...binOf(fields.digits), fingerprint: cardHash(fields.digits) };
  checkRebindAllowed(merchant, now);
  checkCard(merchant, card);
  checkStandbyLimit(merchant, fields.purpose);
  const counts = countsOf(merchant, session.device, now);
  checkDailyLimit(counts, now);

  const number = merchant.state.n + 1;
  const record = newRecord(merchant, number, fields, card, now);
  const sealed = await seal({ merchant_id: merchant.id, card_id: record.new[0] }, fields.digits);
  const { event, state } = transition(merchant, record, number, holder, counts, now);
  const rebind = { record, number, sealed, device: session.device };
  await commitRebind(merchant, { state, rebind, event, session: changedSession(session, now) }, now);
  const after = { ...merchant, state, rebind: { ...record, number } };
  return rebindView(after, after.rebind, now);
};

/** Creates the rebind; reads and decides again after a concurrent write. */
export const createRebind = async (loaded, token, body, cardHash, now) => {
  let merchant = loaded;
  for (let retries = 0; ; retries += 1) {
    try {
      return await createOn(merchant, token, body, cardHash, now);
    } catch (error) {
      if (!(error instanceof Conflict)) throw error;
      if (retries === RETRIES_MAX) throw new Problem('VERSION_CONFLICT', { retry_after_s: 1 });
      await pause(Math.random() * Math.min(32 * 2 ** retries, 512));
      merchant = await loadMerchant(token.merchantId);
    }
  }
};
