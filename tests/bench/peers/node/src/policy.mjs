// The numbers of the contract, section 4, that these endpoints use.
const DAY_S = 86_400;

export const policy = {
  version: 2,
  dayS: DAY_S,
  sessionIdleS: 900,
  sessionMaxS: 12 * 3_600,
  freshLoginS: 900,
  deviceYoungS: 7 * DAY_S,
  rebindLifeS: DAY_S,
  rebindsPerDay: 5,
  creationsPerDay: 20,
  codeLifeS: 300,
  codeGapS: 60,
  codeAttempts: 5,
  depositAttempts: 3,
  identityProofS: 900,
  bankProofS: 1_800,
  standbyMax: 2,
  quietPeriodS: DAY_S,
  idempotencyS: DAY_S,
};
