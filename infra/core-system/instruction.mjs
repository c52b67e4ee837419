// Sample code for a core system in JavaScript: reads payout instructions. Needs Node 20 and `npm ci`.
//
//   node instruction.mjs keygen EC|RSA   a new key: the private JWK, and the value of CoreEncryptionKeys
//   node instruction.mjs read            standard input: {instruction, private_jwk, signing_key_pem, payout_id, amount_fen}
//
// A real core system keeps the private key in its key service and never prints a card number.
import { calculateJwkThumbprint, compactDecrypt, exportJWK, generateKeyPair, importJWK, importSPKI, jwtVerify } from "jose";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const ALGORITHMS = { EC: "ECDH-ES", RSA: "RSA-OAEP-256" };

/** The claims of an instruction to pay exactly this payout. Throws for any other one. */
export async function readInstruction(instruction, { privateJwk, signingKeyPem, payoutId, amountFen }) {
  const key = await importJWK(privateJwk, ALGORITHMS[privateJwk.kty]);
  const { plaintext, protectedHeader } = await compactDecrypt(instruction, key, {
    keyManagementAlgorithms: [ALGORITHMS[privateJwk.kty]],
    contentEncryptionAlgorithms: ["A256GCM"],
  });
  if (protectedHeader.cty !== "JWT") throw new Error("the instruction does not contain a signed message");
  const signer = await importSPKI(signingKeyPem, "ES256");
  const { payload } = await jwtVerify(new TextDecoder().decode(plaintext), signer, {
    algorithms: ["ES256"],
    maxTokenAge: "1h",
  });
  if (payload.payout_id !== payoutId) throw new Error("the instruction is for another payout");
  if (payload.amount_fen !== amountFen) throw new Error("the instruction is for another amount");
  return payload;
}

/** A new key pair: the private JWK for the core system, and the public set for the template's parameter. */
export async function keygen(kty) {
  const options = { extractable: true, modulusLength: 3072, crv: "P-256" };
  const pair = await generateKeyPair(ALGORITHMS[kty], options);
  const jwk = await exportJWK(pair.privateKey);
  const kid = await calculateJwkThumbprint(jwk);
  const publicJwk = { ...(await exportJWK(pair.publicKey)), kid };
  const set = Buffer.from(JSON.stringify({ keys: [publicJwk] })).toString("base64url");
  return { private_jwk: { ...jwk, kid }, thumbprint: kid, core_encryption_keys: set };
}

async function main([command, kty]) {
  if (command === "keygen" && kty in ALGORITHMS) return keygen(kty);
  if (command !== "read") throw new Error("usage: instruction.mjs keygen EC|RSA, or instruction.mjs read");
  const asked = JSON.parse(readFileSync(0, "utf8"));
  const claims = await readInstruction(asked.instruction, {
    privateJwk: asked.private_jwk,
    signingKeyPem: asked.signing_key_pem,
    payoutId: asked.payout_id,
    amountFen: asked.amount_fen,
  });
  return { ...claims, card_number: `…${claims.card_number.slice(-4)}` };
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    console.log(JSON.stringify(await main(process.argv.slice(2))));
  } catch (error) {
    console.error(`refused: ${error.message}`);
    process.exit(1);
  }
}
