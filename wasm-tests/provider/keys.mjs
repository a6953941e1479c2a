// Signing keys: a generation has one of each type that an ID token may be signed with.
import { createPrivateKey, generateKeyPairSync } from 'node:crypto';

let generation = 0;

// By way of PEM: Node 20 may hang for ever when it exports a key while it collects what generated that key.
const encodings = {
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' }, publicKeyEncoding: { type: 'spki', format: 'pem' },
};

function key(kid, type, options) {
  const { privateKey } = generateKeyPairSync(type, { ...options, ...encodings });
  return { ...createPrivateKey(privateKey).export({ format: 'jwk' }), use: 'sig', kid: `${kid}-${generation}` };
}

export function newKeys() {
  generation += 1;
  return [
    key('rsa', 'rsa', { modulusLength: 2048 }),
    key('p256', 'ec', { namedCurve: 'P-256' }),
    key('p384', 'ec', { namedCurve: 'P-384' }),
    key('p521', 'ec', { namedCurve: 'P-521' }),
    key('ed25519', 'ed25519'),
  ];
}

// Those of the newest generation.
export const latest = (keys) => keys.filter(({ kid }) => kid.endsWith(`-${generation}`));
