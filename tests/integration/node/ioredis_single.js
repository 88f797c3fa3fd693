'use strict';

const Redis = require('ioredis');
const {assert, run, ports} = require('./checks');

run(async () => {
  const redis = new Redis({host: '127.0.0.1', port: ports[0], connectionName: 'from-ioredis'});
  await redis.del('io', 'io:n', 'io:watched');
  assert.equal(await redis.set('io', 'value'), 'OK');
  assert.equal(await redis.get('io'), 'value');
  assert.equal(await redis.get('io:none'), null);
  assert.equal(await redis.set('io', 'other', 'NX'), null);
  assert.equal(await redis.set('io:lock', 'me', 'PX', 60000, 'NX'), 'OK');
  assert.ok(await redis.pttl('io:lock') > 50000);
  assert.equal(await redis.del('io:lock'), 1);
  assert.equal(await redis.client('GETNAME'), 'from-ioredis');

  const binary = Buffer.from([0, 13, 10, 255, 0]);
  await redis.set('io:binary', binary);
  assert.deepEqual(await redis.getBuffer('io:binary'), binary);

  const piped = redis.pipeline();
  for (let i = 0; i < 1000; i++) piped.incr('io:n');
  piped.get('io:n');
  const replies = await piped.exec();
  assert.equal(replies.length, 1001);
  replies.forEach(([error]) => assert.equal(error, null));
  assert.equal(replies[999][1], 1000);
  assert.equal(replies[1000][1], '1000');

  const transaction = await redis.multi().set('io:m', '1').incr('io:m').get('io:m').exec();
  assert.deepEqual(transaction, [[null, 'OK'], [null, 2], [null, '2']]);

  const other = new Redis({host: '127.0.0.1', port: ports[0]});
  await redis.watch('io:watched');
  await other.set('io:watched', 'changed');
  assert.equal(await redis.multi().set('io:watched', 'lost').exec(), null);
  assert.equal(await redis.get('io:watched'), 'changed');
  await other.quit();

  await assert.rejects(redis.incr('io'), /value is not an integer/);
  await assert.rejects(redis.call('NOSUCHCOMMAND'), /unknown command/);

  const scanned = new Set();
  for await (const keys of redis.scanStream({match: 'io*'})) keys.forEach((key) => scanned.add(key));
  assert.ok(scanned.has('io') && scanned.has('io:n'));

  // Automatic pipelining sends what one tick of the event loop asks for together.
  const automatic = new Redis({host: '127.0.0.1', port: ports[0], enableAutoPipelining: true});
  const values = await Promise.all(Array.from({length: 500}, (_, i) => automatic.set(`io:auto:${i}`, i)));
  assert.ok(values.every((value) => value === 'OK'));
  assert.equal(await automatic.get('io:auto:499'), '499');
  await automatic.quit();
  assert.equal(await redis.quit(), 'OK');
});
