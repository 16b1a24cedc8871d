// Drives unmodified official clients for the tests: one JSON line in is one order, one JSON line out an answer or something that happened.
//
// Order:  {"id": 1, "client": "A", "do": "subscribe", "args": ["news"]}
// Answer: {"id": 1, "value": ...} or {"id": 1, "error": "..."}
// Event:  {"client": "A", "saw": ["event", "news", {...}]}
//
// It knows no test: what a client does next is always an order, except for what has to happen inside of a callback, which is
// ordered beforehand (how to answer a call, whether to accept a subscription).

import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'

const { DeepstreamClient } = createRequire(import.meta.url)('@deepstream/client')

const clients = new Map()
const say = what => process.stdout.write(JSON.stringify(what) + '\n')
const shown = value => (value === undefined ? { undefined: true } : value)

class Driven {
  constructor(name, url, options) {
    this.name = name
    this.callbacks = new Map()
    this.responses = new Map()
    this.client = new DeepstreamClient(url, options)
    this.client.on('connectionStateChanged', state => this.saw('state', state))
    this.client.on('error', (error, event, topic) => this.saw('error', String(event), String(topic), plain(error)))
    this.client.on('clientDataChanged', data => this.saw('clientDataChanged', data))
    this.client.on('reauthenticationFailure', reason => this.saw('reauthenticationFailure', reason))
  }

  saw(...what) {
    say({ client: this.name, saw: what.map(shown) })
  }

  callback(key, make) {
    if (!this.callbacks.has(key)) this.callbacks.set(key, make())
    return this.callbacks.get(key)
  }

  // ---- connection

  login(...details) {
    if (details[0] === null) { // which the client takes without a callback only
      return this.client.login(null).then(data => [true, shown(data)], data => [false, shown(data)])
    }
    return new Promise(resolve => this.client.login(...details, (success, data) => resolve([success, shown(data)])))
  }
  state() { return this.client.getConnectionState() }
  close() { this.client.close() }
  pause() { this.client.pause() }
  resume() { return new Promise(resolve => this.client.resume(error => resolve(shown(error)))) }

  // The client's timers look at the clock every 50 ms, so what it gathers for 20 ms has been sent after 150.
  later(milliseconds) { return new Promise(resolve => setTimeout(resolve, milliseconds)) }

  // ---- events

  subscribe(name) {
    this.client.event.subscribe(name, this.callback('event ' + name, () => data => this.saw('event', name, data)))
  }
  unsubscribe(name) { this.client.event.unsubscribe(name, this.callbacks.get('event ' + name)) }
  emit(name, ...data) { this.client.event.emit(name, ...data) }
  eventNames() { return this.client.event.eventNames() }

  // ---- listening: `answer` is accept, reject or nothing, said after `after` milliseconds

  listen(pattern, answer, after = 0) { this.listenOn(this.client.event, pattern, answer, after) }
  listenRecords(pattern, answer) { this.listenOn(this.client.record, pattern, answer, 0) }
  listenOn(service, pattern, answer, after) {
    service.listen(pattern, (name, response) => {
      this.saw('asked', pattern, name)
      response.onStop(stopped => this.saw('stopped', pattern, stopped))
      if (answer === 'nothing') return
      if (after) setTimeout(() => response[answer](), after)
      else response[answer]()
    })
  }
  unlisten(pattern) { this.client.event.unlisten(pattern) }

  // ---- calls: `how` is send, error, reject, accept (and nothing more), nothing

  provide(name, how, value, after = 0) {
    this.client.rpc.provide(name, (data, response, requestor) => {
      this.saw('call', name, data, requestor)
      if (how === 'nothing' || how === 'accept') response.autoAccept = false
      if (how === 'nothing') return
      if (how === 'accept') { response.accept(); if (value === undefined) return }
      const answer = () => {
        if (how === 'reject') response.reject()
        else if (how === 'error') response.error(value)
        else response.send(value === '$data' ? data : value)
      }
      if (after) setTimeout(answer, after)
      else answer()
    })
  }
  unprovide(name) { this.client.rpc.unprovide(name) }
  providerNames() { return this.client.rpc.providerNames() }
  make(name, ...data) {
    return new Promise(resolve => this.client.rpc.make(name, ...data, (error, result) => resolve({ error: plain(error), result: shown(result) })))
  }

  // ---- presence

  watch(user) {
    if (user === undefined) this.client.presence.subscribe(this.callback('presence', () => (who, online) => this.saw('presence', who, online)))
    else this.client.presence.subscribe(user, this.callback('presence ' + user, () => (who, online) => this.saw('presence', who, online)))
  }
  unwatch(user) {
    if (user === undefined) this.client.presence.unsubscribe(this.callbacks.get('presence'))
    else this.client.presence.unsubscribe(user, this.callbacks.get('presence ' + user))
  }
  online(users) {
    return new Promise(resolve => {
      const done = (error, result) => resolve({ error: plain(error), result: shown(result) })
      if (users === undefined) this.client.presence.getAll(done)
      else this.client.presence.getAll(users, done)
    })
  }

  // ---- records

  record(name) {
    const record = this.client.record.getRecord(name)
    record.on('error', (error, event) => this.saw('record error', name, String(error), String(event)))
  }
  snapshot(name) { return this.told(done => this.client.record.snapshot(name, done)) }
  has(name) { return this.told(done => this.client.record.has(name, done)) }
  head(name) { return this.told(done => this.client.record.head(name, done)) }
  setData(name, data) { return this.told(done => this.client.record.setDataWithAck(name, data, done)) }
  notify(names) { return this.told(done => this.client.record.notify(names, done)) }
  list(name) { this.client.record.getList(name).on('error', (error, event) => this.saw('record error', name, String(error), String(event))) }
  told(start) {
    return new Promise(resolve => start((error, result) => resolve({ error: plain(error), result: shown(result) })))
  }
}

function plain(error) {
  if (error === undefined || error === null) return null
  if (error instanceof Error) return error.message
  try {
    JSON.stringify(error)
    return error
  } catch { // an event of a socket, which refers to itself
    return String(error.message ?? error.type)
  }
}

const service = {
  open(name, url, options) { clients.set(name, new Driven(name, url, options)) },
  forget(name) {
    clients.get(name)?.client.close()
    clients.delete(name)
  },
}

process.on('uncaughtException', error => say({ client: null, saw: ['uncaught', String(error?.stack ?? error)] }))
process.on('unhandledRejection', error => say({ client: null, saw: ['unhandled', String(error?.stack ?? error)] }))
console.log = console.warn = console.error = (...words) => process.stderr.write(words.map(String).join(' ') + '\n')

createInterface({ input: process.stdin }).on('line', async line => {
  const { id, client, do: what, args } = JSON.parse(line)
  try {
    const target = client === undefined ? service : clients.get(client)
    const value = await target[what](...args)
    say({ id, value: value === undefined ? null : value })
  } catch (error) {
    say({ id, error: String(error?.stack ?? error) })
  }
}).on('close', () => process.exit(0))
