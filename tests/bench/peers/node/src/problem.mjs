// Refusals: RFC 9457 problem documents.
import catalogue from '#data/problems.json';
import { shown } from './time.mjs';

/** A refusal with its code; `extras` are the members that depend on the request. */
export class Problem extends Error {
  constructor(code, extras = {}) {
    super(code);
    this.name = 'Problem';
    this.code = code;
    this.extras = extras;
  }

  get status() {
    return catalogue[this.code].status;
  }

  document(supportRef) {
    const { cooldownUntil, errors, next, ...rest } = this.extras;
    return {
      ...catalogue[this.code],
      code: this.code,
      ...rest,
      ...(cooldownUntil !== undefined && { cooldown_until: shown(cooldownUntil) }),
      ...(next?.length && { next_actions: next }),
      ...(errors?.length && { errors }),
      support_ref: supportRef,
    };
  }
}

/** The refusal of invalid fields, all at once; the first one gives the code. */
export const invalidFields = (errors, next) => new Problem(errors[0].code, { errors, next });
