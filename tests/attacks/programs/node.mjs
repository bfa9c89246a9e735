// Attacks in Node: the name and what it needs are in the data of the job.

import { spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { readFileSync, readdirSync, writeFileSync, writeSync } from 'node:fs'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'

const MIB = 1024 * 1024
const HELD_MS = 1000

const pause = (ms) => new Promise((done) => setTimeout(done, ms))

const hold = async (job, ms = 400) => {
  writeSync(1, JSON.stringify({ sandq: 1, type: 'log', id: job.id, message: 'holding' }) + '\n')
  await pause(ms)
}

const talk = (address, data) =>
  new Promise((done, fail) => {
    const socket = connect(address, () => socket.write(`${data.token}\n`))
    socket.setTimeout(2000, () => socket.destroy(new Error('nothing was said')))
    socket.on('data', (heard) => { socket.destroy(); done(heard.toString()) })
    socket.on('error', fail)
  })

const attacks = {
  read_file: ({ data }) => readFileSync(data.secret_file, 'utf8'),

  read_environments: () => {
    const found = []
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      try {
        found.push(readFileSync(`/proc/${pid}/environ`, 'latin1'))
      } catch { continue }
    }
    return found.join(' ').slice(-200_000)
  },

  tcp: ({ data }) => talk({ host: '127.0.0.1', port: data.tcp }, data),

  unix_socket: ({ data }) => talk({ path: data.socket_file }, data),

  udp: ({ data }) =>
    new Promise((done, fail) => {
      const socket = createSocket('udp4')
      socket.on('error', fail)
      socket.on('message', (heard) => { socket.close(); done(heard.toString()) })
      setTimeout(() => fail(new Error('nothing was said')), 2000).unref()
      socket.send(data.token, data.udp, '127.0.0.1')
    }),

  kill_a_process: ({ data }) => process.kill(data.victim, 'SIGKILL'),

  write_file: ({ data }) => {
    writeFileSync(`${data.folder}/${data.token}`, data.token)
    return 'written'
  },

  detached_child: async ({ data }) => {
    const child = spawn('sh', ['-c', `sleep 30; : ${data.token}`], { detached: true, stdio: 'ignore' })
    child.unref()
    await pause(50)
    return 'left behind'
  },

  buffers: async (job) => {
    const held = []
    for (let n = 0; n < job.data.memory / (16 * MIB); n += 1) held.push(Buffer.alloc(16 * MIB, 1))
    await hold(job, HELD_MS)
    return held.length
  },

  shared_buffers: async (job) => {
    const held = new Uint8Array(new SharedArrayBuffer(job.data.memory))
    held.fill(1)
    await hold(job, HELD_MS)
    return held.length
  },

  web_assembly_memory: async (job) => {
    const memory = new WebAssembly.Memory({ initial: job.data.memory / 65536 })
    new Uint8Array(memory.buffer).fill(1)
    await hold(job, HELD_MS)
    return memory.buffer.byteLength
  },

  exit_in_the_middle: () => process.exit(0),

  flood_of_noise: () => {
    const text = 'noise\n'.repeat(10_000)
    for (let n = 0; n < 10; n += 1) writeSync(1, text)
    return 'said'
  },
}

for await (const line of createInterface({ input: process.stdin })) {
  const job = JSON.parse(line)
  try {
    const result = (await attacks[job.data.attack](job)) ?? null
    writeSync(1, JSON.stringify({ status: 'ok', result }) + '\n')
  } catch (error) {
    const told = { type: error.code ?? error.name, message: error.message }
    writeSync(1, JSON.stringify({ status: 'error', error: told }) + '\n')
  }
}
