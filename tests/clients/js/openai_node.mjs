// The OpenAI SDK for JavaScript.

import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { zodTextFormat } from 'openai/helpers/zod';
import { ResponsesWS } from 'openai/resources/responses/ws';
import { z } from 'zod';
import { CALL_ADD, KEY, MODEL, URL_ROOT, tell } from './seeing.mjs';

let requests = 0;
const counted = (...call) => {
  requests += 1;
  return fetch(...call);
};
const client = new OpenAI({ baseURL: URL_ROOT, apiKey: KEY, fetch: counted });
const City = z.object({ name: z.string(), population: z.number().int() });
const ADD = {
  type: 'function',
  name: 'add',
  description: 'Adds.',
  strict: true,
  parameters: {
    type: 'object',
    properties: { a: { type: 'integer' }, b: { type: 'integer' } },
    required: ['a', 'b'],
    additionalProperties: false,
  },
};

async function collect(events) {
  const seen = [];
  for await (const event of events) seen.push(event);
  return seen;
}

await tell('openai', {
  async create() {
    const response = await client.responses.create({ model: MODEL, input: 'Hello' });
    assert.match(response.output_text, /Hello/);
    assert.equal(response.status, 'completed');
  },
  async stream() {
    const stream = client.responses.stream({ model: MODEL, input: 'Hello' });
    const deltas = [];
    stream.on('response.output_text.delta', (event) => deltas.push(event.delta));
    const final = await stream.finalResponse();
    assert.equal(deltas.join(''), final.output_text);
    const events = await collect(await client.responses.create({ model: MODEL, input: 'Hello', stream: true }));
    assert.deepEqual(events.map((event) => event.sequence_number), [...events.keys()]);
    assert.equal(events.at(-1).type, 'response.completed');
  },
  async structured() {
    const asked = { model: MODEL, input: 'Paris', text: { format: zodTextFormat(City, 'city') } };
    assert.deepEqual((await client.responses.parse(asked)).output_parsed, { name: 'Paris', population: 3 });
    const final = await client.responses.stream(asked).finalResponse();
    assert.deepEqual(final.output_parsed, { name: 'Paris', population: 3 });
  },
  async tools() {
    const first = await client.responses.parse({ model: MODEL, input: CALL_ADD, tools: [ADD] });
    const call = first.output.find((item) => item.type === 'function_call');
    assert.deepEqual(call.parsed_arguments, { a: 2, b: 3 });
    const output = { type: 'function_call_output', call_id: call.call_id, output: '5' };
    const second = await client.responses.create({ model: MODEL, input: [output], tools: [ADD], previous_response_id: first.id });
    assert.match(second.output_text, /The tool answered: 5/);
  },
  async continue() {
    const first = await client.responses.create({ model: MODEL, input: 'My name is Ada.' });
    const second = await client.responses.create({ model: MODEL, input: 'And now?', previous_response_id: first.id });
    assert.match(second.output_text, /My name is Ada\./);
  },
  async objects() {
    const made = await client.responses.create({ model: MODEL, input: 'Hello' });
    assert.equal((await client.responses.retrieve(made.id)).output_text, made.output_text);
    const items = await collect(client.responses.inputItems.list(made.id, { limit: 1 }));
    assert.equal(items[0].content[0].text, 'Hello');
    await client.responses.delete(made.id);
    await assert.rejects(client.responses.retrieve(made.id), OpenAI.NotFoundError);
    assert.ok((await collect(client.models.list())).some((model) => model.id === MODEL));
  },
  async compact() {
    const compacted = await client.responses.compact({ model: MODEL, input: [{ role: 'user', content: 'Hello' }] });
    assert.equal(compacted.object, 'response.compaction');
    assert.equal(compacted.output.at(-1).type, 'compaction');
    const next = await client.responses.create({ model: MODEL, input: [...compacted.output, { role: 'user', content: 'And now?' }] });
    assert.equal(next.status, 'completed');
  },
  async background() {
    const made = await client.responses.create({ model: MODEL, input: 'Hello', background: true });
    assert.equal(made.status, 'queued');
    let found = made;
    while (['queued', 'in_progress'].includes(found.status)) found = await client.responses.retrieve(made.id);
    assert.equal(found.status, 'completed');
    const rest = await collect(await client.responses.retrieve(made.id, { stream: true, starting_after: 2 }));
    assert.equal(rest[0].sequence_number, 3);
    assert.equal(rest.at(-1).type, 'response.completed');
    assert.equal((await client.responses.cancel(made.id)).status, 'completed');
  },
  async conversations() {
    const made = await client.conversations.create({ items: [{ role: 'user', content: 'My name is Ada.' }] });
    const response = await client.responses.create({ model: MODEL, input: 'And now?', conversation: made.id });
    assert.match(response.output_text, /My name is Ada\./);
    const items = await collect(client.conversations.items.list(made.id, { order: 'asc' }));
    assert.equal(items[0].content[0].text, 'My name is Ada.');
    await client.conversations.delete(made.id);
    await assert.rejects(client.conversations.retrieve(made.id), OpenAI.NotFoundError);
  },
  async errors() {
    requests = 0;
    await assert.rejects(client.responses.create({ model: 'gpt-none', input: 'x' }), { status: 404, code: 'model_not_found' });
    const unknown = client.responses.create({ model: MODEL, input: 'x', previous_response_id: 'resp_none' });
    await assert.rejects(unknown, { status: 400, code: 'previous_response_not_found' });
    const stranger = new OpenAI({ baseURL: URL_ROOT, apiKey: 'fw_none', fetch: counted });
    await assert.rejects(stranger.models.list(), OpenAI.AuthenticationError);
    assert.equal(requests, 3);
  },
  async websocket() {
    const socket = new ResponsesWS(client);
    const ended = () =>
      new Promise((resolve, reject) => {
        socket.once('response.completed', resolve);
        socket.once('error', reject);
      });
    const turn = (text, over) => socket.send({ type: 'response.create', model: MODEL, input: text, store: false, ...over });
    let done = ended();
    turn('My name is Ada.');
    const first = await done;
    done = ended();
    turn('And now?', { previous_response_id: first.response.id });
    const second = await done;
    assert.match(JSON.stringify(second.response.output), /My name is Ada\./);
    socket.close();
  },
});
