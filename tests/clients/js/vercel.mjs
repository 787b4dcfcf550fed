// The Vercel AI SDK with its OpenAI provider. By default it stores, and names earlier items instead of sending them again.

import assert from 'node:assert/strict';
import { createOpenAI } from '@ai-sdk/openai';
import { generateObject, generateText, stepCountIs, streamText, tool } from 'ai';
import { z } from 'zod';
import { CALL_ADD, KEY, MODEL, URL_ROOT, tell } from './seeing.mjs';

globalThis.AI_SDK_LOG_WARNINGS = false;
let sent = [];
const watched = (url, init) => {
  sent.push(JSON.parse(init.body));
  return fetch(url, init);
};
const openai = createOpenAI({ baseURL: URL_ROOT, apiKey: KEY, fetch: watched });
const model = openai.responses(MODEL);
const add = tool({
  description: 'Adds.',
  inputSchema: z.object({ a: z.number(), b: z.number() }),
  execute: async ({ a, b }) => a + b,
});

await tell('ai', {
  async create() {
    assert.match((await generateText({ model, prompt: 'Hello' })).text, /Hello/);
  },
  async stream() {
    const result = streamText({ model, prompt: 'Hello', onError: ({ error }) => { throw error; } });
    let text = '';
    for await (const piece of result.textStream) text += piece;
    assert.match(text, /Hello/);
    assert.ok((await result.usage).totalTokens > 0);
  },
  async structured() {
    const schema = z.object({ name: z.string(), population: z.number().int() });
    assert.deepEqual((await generateObject({ model, schema, prompt: 'Paris' })).object, { name: 'Paris', population: 3 });
  },
  async tools() {
    for (const store of [true, false]) {
      sent = [];
      const over = { tools: { add }, stopWhen: stepCountIs(3), providerOptions: { openai: { store } } };
      const result = await generateText({ model, prompt: CALL_ADD, ...over });
      assert.match(result.text, /The tool answered: 5/);
      const references = sent[1].input.filter((item) => item.type === 'item_reference');
      assert.equal(references.length > 0, store);
    }
  },
  async continue() {
    const messages = [{ role: 'user', content: 'My name is Ada.' }];
    messages.push(...(await generateText({ model, messages })).response.messages);
    messages.push({ role: 'user', content: 'And now?' });
    sent = [];
    assert.match((await generateText({ model, messages })).text, /My name is Ada\./);
    assert.ok(sent[0].input.some((item) => item.type === 'item_reference'));
  },
  async errors() {
    await assert.rejects(generateText({ model: openai.responses('gpt-none'), prompt: 'x' }), { statusCode: 404 });
  },
});
