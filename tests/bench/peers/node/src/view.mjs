// The objects of the replies.
import banks from '#data/banks.json';
import { policy } from './policy.mjs';
import { isValid, nextActions, openRebind, pendingCode, stageOf } from './rebind.mjs';
import { maskedPhone } from './text.mjs';
import { ageS, shown } from './time.mjs';

const UNKNOWN_BANK = ['UNKNOWN', '其他银行'];

const bankName = (code) => banks[code] ?? UNKNOWN_BANK[1];

const isGone = ({ out = 0, snd = 0, until, is }, now) =>
  (is === 'o' || is === 'b' || now >= until) && out === 0 && snd === 0;

const statusOf = (merchant, cardId, now) => {
  const { act, stby = [], rp = [], last } = merchant.state;
  const has = ({ c: [id] }) => id === cardId;
  if (act && has(act)) return 'active';
  if (stby.some(has)) return 'standby';
  const replaced = rp.find(has);
  if (replaced) {
    const isNeeded = last?.w && last.old === cardId;
    return isGone(replaced, now) && !isNeeded ? 'removed' : 'retiring';
  }
  return openRebind(merchant, now)?.new[0] === cardId ? 'pending' : 'removed';
};

export const cardView = (merchant, [cardId, bankCode, type, last4, boundAt], now) => {
  const standby = merchant.state.stby?.find(({ c: [id] }) => id === cardId);
  return {
    card_id: cardId,
    bank_code: bankCode ?? UNKNOWN_BANK[0],
    bank_name: bankName(bankCode),
    type,
    last4,
    status: statusOf(merchant, cardId, now),
    bound_at: shown(boundAt),
    ...(standby && { usable_at: shown(standby.use) }),
  };
};

const challengeView = ({ profile }, rebind, now) => {
  const [, stage] = stageOf(rebind);
  const deposit = stage.chk?.deposit;
  const code = pendingCode(rebind, now);
  if (code && (isValid(code, now) || !deposit)) {
    return {
      purpose: code.purpose,
      method: code.purpose === 'identity' ? 'sms_code' : 'bank_code',
      sent_to: maskedPhone(code.purpose === 'identity' ? profile.tel : rebind.tel),
      expires_at: shown(code.at + policy.codeLifeS),
      resend_after_s: Math.max(policy.codeGapS - ageS(code.at, now), 0),
      attempts_left: Math.max(policy.codeAttempts - code.attempts.n, 0),
    };
  }
  if (!deposit) return null;
  const [, bankCode, , last4] = rebind.new;
  return {
    purpose: 'card',
    method: 'micro_deposit',
    sent_to: `${bankName(bankCode)} ···${last4}`,
    expires_at: shown(rebind.exp),
    resend_after_s: null,
    attempts_left: Math.max(policy.depositAttempts - stage.catt.n, 0),
  };
};

/** An open rebind. */
export const rebindView = (merchant, rebind, now) => ({
  rebind_id: rebind.id,
  state: stageOf(rebind)[0],
  version: rebind.ver,
  purpose: rebind.for,
  new_card: cardView(merchant, rebind.new, now),
  old_card: rebind.old ? cardView(merchant, rebind.old, now) : null,
  reserved_phone_masked: maskedPhone(rebind.tel),
  created_at: shown(rebind.at),
  expires_at: shown(rebind.exp),
  challenge: challengeView(merchant, rebind, now),
  next_actions: nextActions(rebind, now),
});
