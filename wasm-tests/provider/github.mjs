// GitHub in this process, as far as it concerns signing in: node github.mjs SETTINGS
import { readFileSync } from 'node:fs';
import { createEmulator } from 'emulate';

const { port, seed } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const { url } = await createEmulator({ service: 'github', port, seed: { github: seed } });
console.log(JSON.stringify({ url }));
