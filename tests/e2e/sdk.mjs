// The npm openai package, unmodified, against a running gateway: node sdk.mjs URL KEY OTHER_KEY.
// Driven by test_sdk_node.py, which names the package's folder in NODE_PATH.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import test from 'node:test';

const require = createRequire(process.env.NODE_PATH + '/');
const OpenAI = require('openai');
const [url, key, otherKey] = process.argv.slice(2);

const clientWith = (apiKey) => new OpenAI({ baseURL: url, apiKey, maxRetries: 0 });
const client = clientWith(key);
const call = (content, fields = {}) => ({
  model: 'open',
  messages: [{ role: 'user', content }],
  ...fields,
});
const create = (content, fields, options) =>
  client.chat.completions.create(call(content, fields), options);

test('a chat is answered with thought, text and exact usage', async () => {
  const answer = await create('hi [[sim tokens=9 reasoning_tokens=4 input_tokens=33]]');
  assert.match(answer.choices[0].message.content, /simulated/);
  assert.match(answer.choices[0].message.reasoning_content, /thought/);
  assert.equal(answer.usage.prompt_tokens, 33);
  assert.equal(answer.usage.completion_tokens, 13);
  assert.equal(answer.choices[0].finish_reason, 'stop');
});

test('the headers say who answered', async () => {
  const { data, response } = await client.chat.completions
    .create(call('hi', { model: 'frontier' }))
    .withResponse();
  assert.equal(response.headers.get('x-sluice-tier'), 'frontier');
  assert.equal(response.headers.get('x-sluice-upstream'), 'frontier-sim');
  assert.ok(Number(response.headers.get('x-sluice-cost-usd')) > 0);
  assert.ok(data.id);
});

for (const model of ['open', 'frontier']) {
  test(`a stream of ${model} is whole and ends with its usage`, async () => {
    const stream = await create('hi [[sim tokens=6 reasoning_tokens=2 input_tokens=40]]', {
      model,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = '';
    let thought = '';
    let usage = null;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? '';
      thought += chunk.choices[0]?.delta.reasoning_content ?? '';
      usage = chunk.usage ?? usage;
    }
    assert.match(text, /simulated/);
    assert.match(thought, /thought/);
    assert.equal(usage.prompt_tokens, 40);
    assert.equal(usage.completion_tokens, 8);
    assert.ok(usage.cost_usd > 0);
  });
}

test('the stream helper of the SDK puts a completion together', async () => {
  const runner = client.chat.completions.stream(call('hi [[sim tokens=6 reasoning_tokens=0]]'));
  const completion = await runner.finalChatCompletion();
  assert.match(completion.choices[0].message.content, /simulated/);
  assert.equal(completion.choices[0].finish_reason, 'stop');
});

test('models are listed', async () => {
  const names = [];
  for await (const model of client.models.list()) names.push(model.id);
  assert.ok(names.includes('auto') && names.includes('open-sim'));
});

const refusals = [
  ['an unknown key', () => clientWith('sk-nobody').models.list(), OpenAI.AuthenticationError],
  ['an unknown model', () => create('hi', { model: 'gpt-none' }), OpenAI.NotFoundError],
  ['a wrong type', () => create('hi', { max_tokens: 'many' }), OpenAI.BadRequestError],
  [
    'a refused team',
    () => clientWith(otherKey).chat.completions.create(call('hi', { model: 'frontier' })),
    OpenAI.PermissionDeniedError,
  ],
];
for (const [what, ask, kind] of refusals) {
  test(`${what} is a ${kind.name}`, async () => {
    await assert.rejects(async () => await ask(), (error) => error instanceof kind);
  });
}

test('an upstream that breaks in the stream is an error', async () => {
  const stream = await create('hi [[sim tokens=9 reasoning_tokens=0 reset_after=4]]', {
    stream: true,
  });
  await assert.rejects(async () => {
    for await (const chunk of stream) assert.ok(chunk.choices);
  }, OpenAI.APIError);
});

test('an abort ends the stream', async () => {
  const stop = new AbortController();
  const stream = await create('hi [[sim tokens=100000 inter_token_ms=5]]', { stream: true }, {
    signal: stop.signal,
  });
  let chunks = 0;
  for await (const chunk of stream) {
    assert.ok(chunk.choices);
    if (++chunks === 5) stop.abort();
  }
  assert.ok(chunks < 1000);
});
