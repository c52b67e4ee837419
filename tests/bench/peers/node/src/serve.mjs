// One request: its route, its clock, its reply and its log line.
import { randomBytes } from 'node:crypto';
import { Logger } from '@aws-lambda-powertools/logger';
import { Problem } from './problem.mjs';

const logger = new Logger({ serviceName: 'settlement-rebind' });

const SUPPORT_REF = /^[A-Za-z0-9_=-]{1,64}$/;
const RFC_3339 = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/;

export const reply = (statusCode, body, headers = {}) => ({
  statusCode,
  headers: { 'cache-control': 'no-store', 'content-type': 'application/json', ...headers },
  body: JSON.stringify(body),
});

const refusal = (problem, supportRef) => {
  const { retry_after_s: retryAfterS } = problem.extras;
  return reply(problem.status, problem.document(supportRef), {
    'content-type': 'application/problem+json',
    ...(retryAfterS !== undefined && { 'retry-after': String(retryAfterS) }),
  });
};

/** The clock of the business rules. Callers may set it in the sandbox only. */
const clock = (event) => {
  const given = event.headers?.['x-sandbox-now'];
  if (given === undefined) return Math.floor(Date.now() / 1_000);
  const parsed = RFC_3339.test(given) ? Date.parse(given) : NaN;
  if (process.env.STAGE !== 'sandbox' || Number.isNaN(parsed)) throw new Problem('REQUEST_MALFORMED');
  return Math.floor(parsed / 1_000);
};

const problemOf = (error) => {
  if (error instanceof Problem) return error;
  logger.error('request.failed', error);
  return new Problem('INTERNAL', { retry_after_s: 1 });
};

/** A Lambda handler for one route: `handle` gets the event, the time and the Lambda context. */
export const serve = (method, path, handle) => async (event, context) => {
  const started = performance.now();
  logger.addContext(context);
  const { requestId = '', http } = event.requestContext;
  const supportRef = SUPPORT_REF.test(requestId) ? requestId : randomBytes(8).toString('hex');
  let answer;
  let code;
  try {
    if (http.method !== method || event.rawPath !== path) throw new Problem('NOT_FOUND');
    answer = await handle(event, clock(event), context);
  } catch (error) {
    const problem = problemOf(error);
    ({ code } = problem);
    answer = refusal(problem, supportRef);
  }
  logger.info('request.answered', {
    http: { route: `${method} ${path}`, status: answer.statusCode },
    problem: code,
    support_ref: supportRef,
    duration_ms: Math.round(performance.now() - started),
  });
  return answer;
};
