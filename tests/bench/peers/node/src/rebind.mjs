// An open rebind: its pending code and the steps that it allows next.
import { policy } from './policy.mjs';
import { ageS } from './time.mjs';

const OPEN = ['identity_pending', 'agreement_pending', 'card_pending'];

export const stageOf = (rebind) => Object.entries(rebind.st)[0];

export const openRebind = ({ state, rebind }, now) => {
  const isOpen = rebind && OPEN.includes(stageOf(rebind)[0]) && now < rebind.exp && state.open === rebind.number;
  return isOpen ? rebind : undefined;
};

export const isValid = (code, now) => ageS(code.at, now) < policy.codeLifeS;

/** The step that refreshes an outdated proof before the card's code can be tried. */
const staleProof = (stage, now) => {
  if (ageS(stage.id.at, now) > policy.identityProofS) return 'identity_code';
  if (stage.chk.matched && ageS(stage.chk.matched.at, now) > policy.bankProofS) return 'card_check';
  return undefined;
};

/** The code to prompt for: an unexpired one first, then one that is usable, then the most recent one. */
export const pendingCode = (rebind, now) => {
  const [name, stage] = stageOf(rebind);
  const codes = [];
  if (stage.otp) codes.push({ purpose: 'identity', ...stage.otp, attempts: stage.att });
  if (name === 'card_pending' && stage.chk.matched?.otp) {
    codes.push({ purpose: 'card', ...stage.chk.matched.otp, attempts: stage.catt, stale: staleProof(stage, now) });
  }
  const rank = (code) => [isValid(code, now) ? 1 : 0, code.stale ? 0 : 1, code.at];
  const compare = (one, other) => {
    const [a, b] = [rank(one), rank(other)];
    return b[0] - a[0] || b[1] - a[1] || b[2] - a[2];
  };
  return codes.reverse().sort(compare)[0];
};

const cardSteps = (stage, now) => {
  const stale = staleProof(stage, now);
  if (stale) return stale;
  if (stage.chk.matched) return 'card_check_code';
  return stage.chk.deposit ? 'card_check_confirm' : 'card_check';
};

/** The steps of an open rebind. */
export const nextActions = (rebind, now) => {
  const code = pendingCode(rebind, now);
  if (code && isValid(code, now)) {
    if (code.stale) return [code.stale, 'cancel'];
    return code.purpose === 'identity'
      ? ['identity_confirm', 'identity_code', 'cancel']
      : ['card_check_confirm', 'card_check_code', 'cancel'];
  }
  const [name, stage] = stageOf(rebind);
  switch (name) {
    case 'identity_pending':
      return [stage.ok ? 'identity_code' : 'identity', 'cancel'];
    case 'agreement_pending':
      return ['read_agreement', 'sign_agreement', 'cancel'];
    default:
      return [cardSteps(stage, now), 'cancel'];
  }
};
