// Signing keys: a generation has one of each type that an ID token may be signed with.
import { generateKeyPairSync } from 'node:crypto';

let generation = 0;

function key(kid, type, options) {
  return { ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), use: 'sig', kid: `${kid}-${generation}` };
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
