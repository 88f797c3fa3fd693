'use strict';
// Clients of a chaos run on ioredis' Cluster, several in one process. Writes what they saw in the form of
// chaos_history.h; the keys are those of chaos_workloads.h. Argument: the settings as JSON.

const fs = require('fs');
const Redis = require('ioredis');

const settings = JSON.parse(process.argv[2]);
const out = fs.openSync(settings.history, 'w');
const now = () => Number(process.hrtime.bigint());
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// A small generator with a seed: Math.random() has none.
function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

const startup = settings.nodes.split(',').map((address) => {
  const [host, port] = address.split(':');
  return {host, port: Number(port)};
});

// Nothing is sent twice: what was lost with a connection is not repeated, and nothing waits for the
// cluster to come back.
const cluster = new Redis.Cluster(startup, {
  enableOfflineQueue: false,
  retryDelayOnFailover: 0,
  retryDelayOnClusterDown: 0,
  slotsRefreshTimeout: 500,
  slotsRefreshInterval: 500,
  clusterRetryStrategy: () => 50,
  redisOptions: {autoResendUnfulfilledCommands: false, commandTimeout: 1500, connectTimeout: 250},
});
cluster.on('error', () => {});

const DEFINITE = /^(MOVED|ASK|CLUSTERDOWN|TRYAGAIN|LOADING|READONLY|MASTERDOWN|NOREPLICAS) /;
const NEVER_SENT = /enableOfflineQueue options is false|^Too many Cluster redirections/;

function outcomeOf(error) {
  if (DEFINITE.test(error.message) || NEVER_SENT.test(error.message)) return false;
  if (error.name === 'ReplyError' && !error.message.startsWith('UNKNOWN')) return false;
  return 'unknown';
}

const open = new Set();

function write(fields, outcome, error) {
  const line = {...fields, return: now(), ok: outcome};
  if (error) line.error = error;
  fs.writeSync(out, JSON.stringify(line) + '\n');
}

async function command(fields, send, takeReply) {
  fields.call = now();
  open.add(fields);
  try {
    const reply = await send();
    Object.assign(fields, takeReply(reply));
    write(fields, true);
  } catch (error) {
    if (fields.op === 'get') fields.value = null;
    write(fields, outcomeOf(error), `${error.name}: ${error.message}`);
  }
  open.delete(fields);
}

async function client(id, end) {
  const random = generator(settings.seed * 1009 + id);
  const draw = (count) => Math.floor(random() * count);
  let serial = 0;
  while (now() < end) {
    const epoch = Math.floor((now() - settings.start_ns) / (settings.epoch_ms * 1e6));
    const number = draw(settings.keys);
    const what = draw(10);
    const unique = `${id}.${++serial}`;
    const kind = ['reg', 'ctr', 'app'][draw(3)];
    const key = `${kind}:${epoch}:${number}`;
    if (what < 4) {
      await command({client: id, op: 'get', key}, () => cluster.get(key), (value) => ({value}));
    } else if (kind === 'ctr') {
      await command({client: id, op: 'incr', key, value: 1}, () => cluster.incr(key), (result) => ({result}));
    } else if (kind === 'app') {
      const value = unique + ';';
      await command({client: id, op: 'append', key, value}, () => cluster.append(key, value),
        (result) => ({result}));
    } else if (what === 9) {
      await command({client: id, op: 'del', key}, () => cluster.del(key), (result) => ({result}));
    } else {
      await command({client: id, op: 'set', key, value: unique}, () => cluster.set(key, unique), () => ({}));
    }
    await sleep(random() * settings.pause_us / 1000);
  }
}

const end = now() + settings.seconds * 1e9;
const clients = [];
for (let i = 0; i < settings.clients; i++) clients.push(client(settings.first_id + i, end));

function finish() {
  for (const fields of open) {
    if (fields.op === 'get') fields.value = null;
    write(fields, 'unknown', 'still on its way at the end');
  }
  process.exit(0);
}
Promise.all(clients).then(finish);
process.on('SIGTERM', finish);
setTimeout(finish, settings.seconds * 1000 + 3000);
