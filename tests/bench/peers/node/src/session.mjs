// Sessions: the token names merchant and slot; the merchant's state holds the hash of the token.
import { createHash, timingSafeEqual } from 'node:crypto';
import { policy } from './policy.mjs';
import { Problem } from './problem.mjs';
import { ageS } from './time.mjs';

const TOKEN = /^(mer_[A-Za-z0-9_]{1,40})\.([0-4])\.[^.]+$/;
const dead = () => new Problem('SESSION_EXPIRED', { next: ['login'] });

/** The token of a request, not yet verified. */
export const presentedToken = (event) => {
  const [, text = ''] = /^bearer (.*)$/i.exec(event.headers?.authorization ?? '') ?? [];
  const found = TOKEN.exec(text.trim());
  if (!found) throw dead();
  return { merchantId: found[1], slot: Number(found[2]), hash: createHash('sha256').update(text.trim()).digest() };
};

/** Version, token hash, times of the login and of the last change, then the device. */
const read = (bytes) => ({
  tokenHash: bytes.subarray(1, 33),
  loginAt: bytes.readIntBE(33, 5),
  lastChangeAt: bytes.readIntBE(38, 5),
  device:
    bytes.length > 48
      ? { firstSeen: bytes.readIntBE(43, 5), known: bytes[48] === 1, tag: bytes.subarray(49).toString() }
      : { firstSeen: bytes.readIntBE(33, 5), known: false, tag: '' },
});

/** The live session of a token. */
export const liveSession = (merchant, token, now) => {
  const stored = merchant?.sessions[token.slot];
  if (!stored || stored[0] !== 1) throw dead();
  const bytes = Buffer.from(stored);
  const session = read(bytes);
  const isLive =
    timingSafeEqual(session.tokenHash, token.hash) &&
    ageS(session.loginAt, now) < policy.sessionMaxS &&
    ageS(session.lastChangeAt, now) < policy.sessionIdleS;
  if (!isLive) throw dead();
  return { ...session, name: `s${token.slot}`, bytes };
};

/** The attribute of the session, its value after a change at `now`, and the prefix that identifies it. */
export const changedSession = ({ name, bytes, lastChangeAt }, now) => {
  const value = Buffer.from(bytes);
  value.writeIntBE(Math.max(lastChangeAt, now), 38, 5);
  return { name, value, prefix: value.subarray(0, 33) };
};
