// Whether a merchant may start a rebind, in the order of the contract.
import { policy } from './policy.mjs';
import { Problem } from './problem.mjs';
import { nextActions, openRebind } from './rebind.mjs';
import { ageS, secondsUntil, shanghaiDate } from './time.mjs';

export const checkNotFrozen = ({ state }) => {
  if (state.frz) throw new Problem('ACCOUNT_FROZEN', { next: ['contact_support'] });
};

export const checkFreshLogin = (session, now) => {
  if (ageS(session.loginAt, now) >= policy.freshLoginS) throw new Problem('STEP_UP_REQUIRED', { next: ['login'] });
  if (!session.device.known) throw new Problem('DEVICE_TOO_NEW', { next: ['login', 'contact_support'] });
};

/** The last activation while it has not taken effect. */
export const holdOf = ({ state: { last } }, now) => (last && (last.w || now < last.eff) ? last : undefined);

export const cooldownOf = ({ cooldownUntil }, now) => (now < cooldownUntil ? cooldownUntil : undefined);

const checkNoOpenRebind = (merchant, now) => {
  const { state, rebind } = merchant;
  if (state.open !== undefined && rebind?.number !== state.open) throw new Problem('REQUEST_IN_PROGRESS');
  const open = openRebind(merchant, now);
  if (open) throw new Problem('REQUEST_IN_PROGRESS', { next: nextActions(open, now) });
};

/** Company, expired document, quiet period, open rebind, cooldown, hold. */
export const checkRebindAllowed = (merchant, now) => {
  const { profile, state } = merchant;
  if (profile.kind === 'company') throw new Problem('ENTITY_NEEDS_SUPPORT', { next: ['contact_support'] });
  if (profile.idx !== 'long_term' && profile.idx < shanghaiDate(now)) {
    throw new Problem('ID_EXPIRED', { counts_toward_limit: false, next: ['contact_support'] });
  }
  if (state.sec !== undefined && ageS(state.sec, now) < policy.quietPeriodS) {
    const waitS = secondsUntil(state.sec + policy.quietPeriodS, now);
    throw new Problem('QUIET_PERIOD', { retry_after_s: waitS, next: ['wait'] });
  }
  checkNoOpenRebind(merchant, now);
  const cooldownUntil = cooldownOf(merchant, now);
  if (cooldownUntil !== undefined) {
    const waitS = secondsUntil(cooldownUntil, now);
    throw new Problem('REBIND_COOLDOWN', { retry_after_s: waitS, cooldownUntil, next: ['wait'] });
  }
  if (holdOf(merchant, now)) throw new Problem('REQUEST_IN_PROGRESS', { next: ['wait', 'contact_support'] });
};
