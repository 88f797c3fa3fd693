'use strict';

const {createCluster} = require('redis');
const {assert, run, ports} = require('./checks');

async function check(RESP) {
  const rootNodes = [...ports].reverse().map((port) => ({socket: {host: '127.0.0.1', port}}));
  const cluster = createCluster({rootNodes, RESP});
  cluster.on('error', (error) => console.error('cluster error', error));
  await cluster.connect();
  for (let i = 0; i < 200; i++) assert.equal(await cluster.set(`nrc:${i}`, `value ${i}`), 'OK');
  const values = await Promise.all(Array.from({length: 200}, (_, i) => cluster.get(`nrc:${i}`)));
  assert.deepEqual(values, Array.from({length: 200}, (_, i) => `value ${i}`));
  assert.equal(cluster.masters.length, 1);
  assert.equal(cluster.masters[0].port, ports[0]);
  const transaction = await cluster.multi().set('{nrc}a', '1').incr('{nrc}a').exec();
  assert.deepEqual(transaction, ['OK', 2]);
  await cluster.close();

  const replicas = createCluster({rootNodes, RESP, useReplicas: true});
  replicas.on('error', (error) => console.error('cluster error', error));
  await replicas.connect();
  let value = null;
  for (let i = 0; i < 500 && value !== 'value 7'; i++) value = await replicas.get('nrc:7');
  assert.equal(value, 'value 7');
  await replicas.close();
}

run(async () => {
  await check(2);
  await check(3);
});
