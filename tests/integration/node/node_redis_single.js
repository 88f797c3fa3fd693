'use strict';

const {createClient, WatchError} = require('redis');
const {assert, run, ports} = require('./checks');

async function check(RESP) {
  const client = createClient({socket: {host: '127.0.0.1', port: ports[0]}, RESP, name: 'from-node-redis'});
  await client.connect();
  await client.del(['nr', 'nr:n', 'nr:watched']);
  assert.equal(await client.set('nr', 'value'), 'OK');
  assert.equal(await client.get('nr'), 'value');
  assert.equal(await client.get('nr:none'), null);
  assert.equal(await client.set('nr:lock', 'me', {NX: true, PX: 60000}), 'OK');
  assert.equal(await client.set('nr:lock', 'you', {NX: true, PX: 60000}), null);
  assert.ok(await client.pTTL('nr:lock') > 50000);
  assert.equal(await client.del('nr:lock'), 1);
  assert.equal(await client.clientGetName(), 'from-node-redis');

  const counts = await Promise.all(Array.from({length: 1000}, () => client.incr('nr:n')));
  assert.deepEqual(counts, Array.from({length: 1000}, (_, i) => i + 1));

  const transaction = await client.multi().set('nr:m', '1').incr('nr:m').get('nr:m').exec();
  assert.deepEqual(transaction, ['OK', 2, '2']);

  const other = client.duplicate();
  await other.connect();
  await client.watch('nr:watched');
  await other.set('nr:watched', 'changed');
  await assert.rejects(client.multi().set('nr:watched', 'lost').exec(), WatchError);
  assert.equal(await client.get('nr:watched'), 'changed');
  await other.close();

  await client.mSet([['nr:a', '1'], ['nr:b', '2']]);
  assert.deepEqual(await client.mGet(['nr:a', 'nr:b', 'nr:none']), ['1', '2', null]);
  await assert.rejects(client.incr('nr'), /value is not an integer/);
  await assert.rejects(client.sendCommand(['NOSUCHCOMMAND']), /unknown command/);

  const scanned = new Set();
  for await (const keys of client.scanIterator({MATCH: 'nr*'})) keys.forEach((key) => scanned.add(key));
  assert.ok(scanned.has('nr') && scanned.has('nr:n'));
  await client.close();
}

run(async () => {
  await check(2);
  await check(3);
});
