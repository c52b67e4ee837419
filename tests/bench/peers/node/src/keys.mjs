// Keyed hashes and sealed card numbers.
import { createCipheriv, createHmac, randomBytes } from 'node:crypto';
import { GenerateDataKeyCommand, GenerateMacCommand, KMSClient } from '@aws-sdk/client-kms';
import { clientConfig } from './clients.mjs';

const LABEL = Buffer.from('settlement-rebind/hash-key/v1');
const kms = new KMSClient(clientConfig);

const lengthPrefixed = (parts) =>
  Buffer.concat(
    parts.flatMap((part) => {
      const bytes = Buffer.from(part);
      const length = Buffer.alloc(8);
      length.writeBigUInt64BE(BigInt(bytes.length));
      return [length, bytes];
    }),
  );

/** HKDF-Expand of one block: the key of a purpose. */
const derive = (secret, purpose) => createHmac('sha256', secret).update(purpose).update(Buffer.of(1)).digest();

/** Fetches the secret of a hash key, `<version>=<id>`. Returns the hash function of each purpose. */
export const hashKey = async (setting, purposes) => {
  const [version, id] = setting.split('=');
  const command = new GenerateMacCommand({ KeyId: id, MacAlgorithm: 'HMAC_SHA_256', Message: LABEL });
  const { Mac: secret } = await kms.send(command);
  const hashOf = (purpose) => {
    const key = derive(secret, purpose);
    const hash = (...parts) => createHmac('sha256', key).update(lengthPrefixed(parts)).digest('base64url');
    return (...parts) => `${version}.${hash(...parts)}`;
  };
  return { version, ...Object.fromEntries(purposes.map((purpose) => [purpose, hashOf(purpose)])) };
};

/** Encrypts a card number under a fresh data key. The context is the associated data too. */
export const seal = async (context, plain) => {
  const command = new GenerateDataKeyCommand({
    KeyId: process.env.CARD_KEY_ID,
    KeySpec: 'AES_256',
    EncryptionContext: context,
  });
  const { Plaintext: key, CiphertextBlob: wrapped } = await kms.send(command);
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  cipher.setAAD(lengthPrefixed(Object.entries(context).flat()));
  const header = Buffer.alloc(3);
  header.writeUInt8(1);
  header.writeUInt16BE(wrapped.length, 1);
  return Buffer.concat([header, wrapped, nonce, cipher.update(plain, 'utf8'), cipher.final(), cipher.getAuthTag()]);
};
