// The day's rebinds, counted for all young devices together and for each older device.
import { policy } from './policy.mjs';
import { Problem } from './problem.mjs';
import { ageS } from './time.mjs';

const OLDER_MAX = 2;

/** Times are stored as the first one, then as steps. */
const times = (steps) => {
  let at = 0;
  return steps.map((step) => (at += step));
};
const steps = (all) => all.map((at, index) => at - (all[index - 1] ?? 0));

const read = (stored, now) =>
  stored.map(([tag, firstSeen, wrongCodes, rebinds, all]) => {
    const at = times(all);
    const recent = (list) => list.filter((one) => ageS(one, now) < policy.dayS);
    return {
      tag,
      firstSeen,
      wrong: recent(at.slice(0, wrongCodes)),
      rebinds: recent(at.slice(wrongCodes, wrongCodes + rebinds)),
      refunded: recent(at.slice(wrongCodes + rebinds)),
    };
  });

const isEmpty = ({ wrong, rebinds, refunded }) => wrong.length + rebinds.length + refunded.length === 0;

/** The counts of all devices, and those that apply to this device. */
export const countsOf = ({ state }, device, now) => {
  const all = read(state.day ?? [], now);
  const young = all.find(({ tag }) => tag === '') ?? { tag: '', firstSeen: 0, wrong: [], rebinds: [], refunded: [] };
  let older = all.filter((one) => one.tag !== '' && !isEmpty(one));
  if (ageS(device.firstSeen, now) < policy.deviceYoungS) return { older, young, own: young };
  if (!older.some(({ tag }) => tag === device.tag)) {
    older.push({ tag: device.tag, firstSeen: device.firstSeen, wrong: [], rebinds: [], refunded: [] });
    older.sort((one, other) => one.firstSeen - other.firstSeen);
    for (const surplus of older.slice(OLDER_MAX)) {
      for (const kind of ['wrong', 'rebinds', 'refunded']) {
        young[kind] = [...young[kind], ...surplus[kind]].sort((one, other) => one - other);
      }
    }
    older = older.slice(0, OLDER_MAX);
  }
  return { older, young, own: older.find(({ tag }) => tag === device.tag) ?? young };
};

/** Seconds until one more entry fits; 0 if it fits now. */
const waitS = (list, limit, now) => {
  if (list.length < limit) return 0;
  const ages = list.map((at) => ageS(at, now)).sort((one, other) => one - other);
  return Math.max(policy.dayS - ages[limit - 1], 1);
};

export const checkDailyLimit = ({ own }, now) => {
  const counted = waitS(own.rebinds, policy.rebindsPerDay, now);
  const created = waitS([...own.rebinds, ...own.refunded], policy.creationsPerDay, now);
  const wait = Math.max(counted, created);
  if (wait > 0) {
    throw new Problem('DAILY_REQUEST_LIMIT', { counts_toward_limit: false, retry_after_s: wait, next: ['wait'] });
  }
};

/** The stored counts after one more rebind; `undefined` without any. */
export const countRebind = ({ older, young, own }, now) => {
  own.rebinds.push(now);
  return [...older, young]
    .filter((one) => !isEmpty(one))
    .map(({ tag, firstSeen, wrong, rebinds, refunded }) => [
      tag,
      firstSeen,
      wrong.length,
      rebinds.length,
      steps([...wrong, ...rebinds, ...refunded]),
    ]);
};
