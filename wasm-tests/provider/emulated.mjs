// A provider in this process, as an independent project emulates it: node emulated.mjs SETTINGS
// SETTINGS: {"service": "google", "port": 1, "seed": {..}}
import { readFileSync } from 'node:fs';
import { createEmulator } from 'emulate';

const { service, port, seed } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const { url } = await createEmulator({ service, port, seed: { [service]: seed } });
console.log(JSON.stringify({ url }));
