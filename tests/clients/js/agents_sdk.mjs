// The OpenAI Agents SDK for JavaScript.

import assert from 'node:assert/strict';
import { Agent, OpenAIResponsesModel, run, setTracingDisabled, tool } from '@openai/agents';
import OpenAI from 'openai';
import { z } from 'zod';
import { CALL_ADD, KEY, MODEL, URL_ROOT, tell } from './seeing.mjs';

setTracingDisabled(true);
const client = new OpenAI({ baseURL: URL_ROOT, apiKey: KEY });
const City = z.object({ name: z.string(), population: z.number().int() });
const add = tool({
  name: 'add',
  description: 'Adds.',
  parameters: z.object({ a: z.number().int(), b: z.number().int() }),
  execute: async ({ a, b }) => String(a + b),
});
const agent = (over = {}) => new Agent({ name: 'tester', model: new OpenAIResponsesModel(client, MODEL), ...over });

await tell('@openai/agents', {
  async create() {
    assert.match((await run(agent(), 'Hello')).finalOutput, /Hello/);
  },
  async stream() {
    const streamed = await run(agent(), 'Hello', { stream: true });
    let text = '';
    for await (const piece of streamed.toTextStream()) text += piece;
    await streamed.completed;
    assert.equal(text, streamed.finalOutput);
  },
  async structured() {
    assert.deepEqual((await run(agent({ outputType: City }), 'Paris')).finalOutput, { name: 'Paris', population: 3 });
  },
  async tools() {
    assert.match((await run(agent({ tools: [add] }), CALL_ADD)).finalOutput, /The tool answered: 5/);
  },
  async continue() {
    const first = await run(agent(), 'My name is Ada.');
    const second = await run(agent(), 'And now?', { previousResponseId: first.lastResponseId });
    assert.match(second.finalOutput, /My name is Ada\./);
    const again = await run(agent(), [...first.history, { role: 'user', content: 'And now?' }]);
    assert.match(again.finalOutput, /My name is Ada\./);
  },
});
