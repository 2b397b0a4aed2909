'use strict'

// jackd (promises, Buffers) against the server at SERVER_HOST and SERVER_PORT.
// Each test is a promise of the server; ids are strings in this client.

const assert = require('assert')
const Jackd = require('jackd')

const ABSENT = '18446744073709551615'
const where = { host: process.env.SERVER_HOST, port: Number(process.env.SERVER_PORT) }

describe('jackd', () => {
  let client
  let tube
  let count = 0

  async function connect () {
    const connected = new Jackd()
    await connected.connect(where)
    await connected.use(tube)
    await connected.watch(tube)
    await connected.ignore('default')
    return connected
  }

  async function disconnect (connected) {
    const closed = new Promise(resolve => connected.socket.once('close', resolve))
    await connected.quit()
    await closed
  }

  async function state (id) {
    return (await client.statsJob(id)).match(/^state: (.*)$/m)[1]
  }

  beforeEach(async () => {
    tube = `jackd-${++count}`
    client = await connect()
  })

  afterEach(() => disconnect(client))

  it('takes a job through every state', async () => {
    const id = await client.put('body', { priority: 5, ttr: 60 })
    const job = await client.reserve()
    assert.deepStrictEqual([job.id, job.payload.toString()], [id, 'body'])
    assert.strictEqual(await state(id), 'reserved')
    await client.touch(id)
    await client.release(id, { priority: 6, delay: 3600 })
    assert.strictEqual((await client.peekDelayed()).id, id)
    await client.kickJob(id)
    assert.strictEqual((await client.peekReady()).id, id)
    assert.strictEqual((await client.reserveJob(id)).id, id)
    await client.bury(id, 7)
    assert.strictEqual((await client.peekBuried()).id, id)
    assert.strictEqual(await client.kick(10), 1)
    assert.strictEqual((await client.reserveWithTimeout(0)).id, id)
    await client.delete(id)
    await assert.rejects(client.peek(id), { message: 'NOT_FOUND' })
  })

  it('gets jobs by priority, then in order of put', async () => {
    for (const [body, priority] of [['c', 2], ['a', 1], ['d', 2], ['b', 1]]) {
      await client.put(body, { priority })
    }
    let bodies = ''
    for (let i = 0; i < 4; i++) bodies += (await client.reserve()).payload
    assert.strictEqual(bodies, 'abcd')
  })

  it('waits for a delayed job', async () => {
    const start = process.hrtime.bigint()
    const id = await client.put('later', { delay: 1 })
    assert.strictEqual((await client.reserve()).id, id)
    assert(process.hrtime.bigint() - start >= 1000000000n)
  })

  it('wakes a waiting worker', async () => {
    const producer = await connect()
    const waiting = client.reserve()
    const id = await producer.put({ wake: 'up' })
    assert.deepStrictEqual(JSON.parse((await waiting).payload), { wake: 'up' })
    await disconnect(producer)
    await client.delete(id)
  })

  it('gets a body of many packets with line ends in it', async () => {
    const body = 'this\r\njob RESERVED 1 1\r\n'.repeat(2700)
    await client.put(body)
    assert.strictEqual((await client.reserve()).payload.toString(), body)
  })

  it('may send commands without waiting for replies', async () => {
    const bodies = Array.from({ length: 200 }, (_, i) => `job ${i}`)
    const ids = await Promise.all(bodies.map(body => client.put(body)))
    assert.deepStrictEqual(ids, [...ids].sort((a, b) => a - b))
    assert.strictEqual(new Set(ids).size, 200)
    for (const body of bodies) {
      assert.strictEqual((await client.reserveWithTimeout(0)).payload.toString(), body)
    }
    await Promise.all(ids.map(id => client.delete(id)))
    await assert.rejects(client.reserveWithTimeout(0), { message: 'TIMED_OUT' })
  })

  it('gets the jobs of a closed connection', async () => {
    const worker = await connect()
    const id = await client.put('survivor')
    await worker.reserve()
    await disconnect(worker)
    assert.strictEqual((await client.reserveWithTimeout(4)).id, id)
  })

  it('sees its tubes in the lists', async () => {
    assert.strictEqual(await client.listTubeUsed(), tube)
    assert.strictEqual(await client.listTubesWatched(), `---\n- ${tube}\n`)
    assert.strictEqual(await client.watch('another'), 2)
    assert.match(await client.listTubes(), /^- another$/m)
    assert.strictEqual(await client.ignore('another'), 1)
    assert.doesNotMatch(await client.listTubes(), /^- another$/m)
  })

  it('sees its own doings in the statistics', async () => {
    await client.put('job')
    // This version forgets the end of the line, so the argument brings it.
    await client.pauseTube(tube, { delay: '600\r\n' })
    await assert.rejects(client.reserveWithTimeout(0), { message: 'TIMED_OUT' })
    const stats = await client.statsTube(tube)
    assert.match(stats, /^current-jobs-ready: 1$/m)
    assert.match(stats, /^pause: 600$/m)
    assert.match(await client.stats(), /^draining: false$/m)
  })

  it('is told what it did wrong, and goes on', async () => {
    await assert.rejects(client.delete('nonsense'), { message: 'BAD_FORMAT' })
    await assert.rejects(client.use('two words'), { message: 'BAD_FORMAT' })
    await assert.rejects(client.put('x'.repeat(65536)), { message: 'JOB_TOO_BIG' })
    await assert.rejects(client.ignore(tube), { message: 'NOT_IGNORED' })
    for (const command of ['delete', 'release', 'bury', 'touch', 'kickJob', 'peek', 'reserveJob']) {
      await assert.rejects(client[command](ABSENT), { message: 'NOT_FOUND' }, command)
    }
    const id = await client.put('short of time', { ttr: 1 })
    await client.reserve()
    await assert.rejects(client.reserve(), { message: 'DEADLINE_SOON' })
    await client.delete(id)
  })
})
