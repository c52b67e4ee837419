// Limits of the SDK's clients. The SDK keeps connections alive by default, but has no timeouts.
export const clientConfig = {
  maxAttempts: 3,
  requestHandler: { connectionTimeout: 1_000, requestTimeout: 1_500, throwOnRequestTimeout: true },
};
