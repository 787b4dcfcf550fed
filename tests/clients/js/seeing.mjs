// What a client is seen to do: checks by name, run in order, their outcome told as one line of JSON.

import { readFileSync } from 'node:fs';

export const URL_ROOT = process.env.FLOWAY_URL + '/v1';
export const KEY = process.env.FLOWAY_KEY;
export const MODEL = 'gpt-5.5';
export const CALL_ADD = 'call add with {"a": 2, "b": 3}';

export async function tell(pkg, checks) {
  const did = [];
  const failed = {};
  for (const [name, check] of Object.entries(checks)) {
    try {
      await check();
      did.push(name);
    } catch (error) {
      failed[name] = String(error?.stack ?? error);
    }
  }
  const manifest = new URL(`node_modules/${pkg}/package.json`, import.meta.url);
  const { version } = JSON.parse(readFileSync(manifest));
  process.stdout.write(JSON.stringify({ version, did, failed }) + '\n', () => process.exit(0));
}
