'use strict';

const Redis = require('ioredis');
const {assert, run, ports} = require('./checks');

run(async () => {
  // The followers first, so that the leader has to be found.
  const startup = [...ports].reverse().map((port) => ({host: '127.0.0.1', port}));
  const cluster = new Redis.Cluster(startup);
  for (let i = 0; i < 200; i++) assert.equal(await cluster.set(`ioc:${i}`, `value ${i}`), 'OK');
  for (let i = 0; i < 200; i++) assert.equal(await cluster.get(`ioc:${i}`), `value ${i}`);
  assert.equal(cluster.nodes('master').length, 1);
  assert.equal(cluster.nodes('master')[0].options.port, ports[0]);
  assert.equal(cluster.nodes('slave').length, ports.length - 1);

  const replies = await cluster.pipeline().set('{ioc}a', '1').incr('{ioc}a').get('{ioc}a').exec();
  assert.deepEqual(replies, [[null, 'OK'], [null, 2], [null, '2']]);
  const transaction = await cluster.multi().set('{ioc}b', '5').decr('{ioc}b').exec();
  assert.deepEqual(transaction, [[null, 'OK'], [null, 4]]);
  assert.deepEqual(await cluster.mget('{ioc}a', '{ioc}b'), ['2', '4']);
  await cluster.quit();

  // Reads may go to followers, where the application asks for it: READONLY is sent for it. A follower
  // may lag behind, so the value is waited for.
  const scaled = new Redis.Cluster(startup, {scaleReads: 'slave'});
  let value = null;
  for (let i = 0; i < 500 && value !== 'value 7'; i++) value = await scaled.get('ioc:7');
  assert.equal(value, 'value 7');
  await scaled.quit();
});
