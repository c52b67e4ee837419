// Times are whole seconds since 1970. Replies show them at +08:00.
const SHANGHAI_S = 8 * 3_600;

const iso = (epochS) => new Date(epochS * 1_000).toISOString();

export const shown = (epochS) => `${iso(epochS + SHANGHAI_S).slice(0, 19)}+08:00`;

export const shanghaiDate = (epochS) => iso(epochS + SHANGHAI_S).slice(0, 10);

export const utcMonth = (epochS) => iso(epochS).slice(0, 7).replace('-', '');

/** Seconds from `at` to `now`; 0 for a time in the future. */
export const ageS = (at, now) => Math.max(now - at, 0);

export const secondsUntil = (until, now) => Math.max(until - now, 1);
