// `GET /v1/cards`.
import { checkDailyLimit, countsOf } from './day-counts.mjs';
import { hashKey } from './keys.mjs';
import { Problem } from './problem.mjs';
import { openRebind } from './rebind.mjs';
import { checkFreshLogin, checkNotFrozen, checkRebindAllowed, cooldownOf, holdOf } from './rules.mjs';
import { reply, serve } from './serve.mjs';
import { liveSession, presentedToken } from './session.mjs';
import { loadMerchant } from './store.mjs';
import { shown } from './time.mjs';
import { cardView, rebindView } from './view.mjs';

// For the function's other route, which takes an idempotency key.
await hashKey(process.env.LOOK_UP_KEY, ['idempotency', 'body']);

/** The code for which a new rebind would be refused now. */
const blockedBy = (merchant, session, now) => {
  try {
    checkNotFrozen(merchant);
    checkFreshLogin(session, now);
    checkRebindAllowed(merchant, now);
    checkDailyLimit(countsOf(merchant, session.device, now), now);
    return undefined;
  } catch (error) {
    if (error instanceof Problem) return error.code;
    throw error;
  }
};

/** The card that receives payouts during a hold. */
const payingCard = ({ state }, hold) => {
  if (state.frz?.hold) return undefined;
  const old = state.rp?.find(({ c: [id] }) => id === hold.old);
  return old?.is === 'u' ? old.c : undefined;
};

const holdView = (merchant, hold, now) => {
  const paying = payingCard(merchant, hold);
  return {
    rebind_id: hold.id,
    paying_card: paying ? cardView(merchant, paying, now) : null,
    effective_at: shown(hold.eff),
  };
};

const cardsView = (merchant, session, now) => {
  const { act, stby = [] } = merchant.state;
  const open = openRebind(merchant, now);
  const hold = holdOf(merchant, now);
  const blocked = blockedBy(merchant, session, now);
  const cooldownUntil = cooldownOf(merchant, now);
  return {
    active: act ? cardView(merchant, act.c, now) : null,
    standby: stby.map(({ c }) => cardView(merchant, c, now)),
    open_rebind: open ? rebindView(merchant, open, now) : null,
    hold: hold ? holdView(merchant, hold, now) : null,
    can_rebind: !blocked,
    ...(blocked && { blocked_by: blocked }),
    ...(cooldownUntil !== undefined && { cooldown_until: shown(cooldownUntil) }),
  };
};

export const handler = serve('GET', '/v1/cards', async (event, now) => {
  const token = presentedToken(event);
  const merchant = await loadMerchant(token.merchantId);
  const session = liveSession(merchant, token, now);
  return reply(200, cardsView(merchant, session, now));
});
