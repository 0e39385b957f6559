// What a program does with KafkaJS, or with a client that has the same interface.
//
//   node tour.js MODULE BOOTSTRAP TOPIC     MODULE: kafkajs or @confluentinc/kafka-javascript
//
// The topic has three partitions, and so has TOPIC-copy. Says "done" at its end.
const assert = require('assert')

const [module_, bootstrap, topic] = process.argv.slice(2)
const confluent = module_ !== 'kafkajs'
const { Kafka } = confluent ? require(module_).KafkaJS : require(module_)
const COUNT = 300

// The two differ only in where their settings stand.
const settings = (own) => (confluent ? { kafkaJS: own } : own)
const kafka = new Kafka(settings({ clientId: 'tour', brokers: [bootstrap], logLevel: 1 }))

async function produce() {
  const producer = kafka.producer(settings({ allowAutoTopicCreation: false, idempotent: true }))
  await producer.connect()
  const messages = [...Array(COUNT).keys()].map((number) => ({
    partition: number % 3,
    key: `key ${number % 7}`,
    value: `value ${number}`,
    headers: { number: String(number) },
  }))
  await producer.send({ topic, messages })
  await producer.disconnect()
}

// Reads as a group until `count` values have come, with `members` members.
async function consume(count, members) {
  const found = []
  const readers = new Set()
  const consumers = [...Array(members).keys()].map(() =>
    kafka.consumer(settings({ groupId: `group-${topic}`, fromBeginning: true }))
  )
  let finish
  const finished = new Promise((resolve) => (finish = resolve))
  for (const [index, consumer] of consumers.entries()) {
    await consumer.connect()
    await consumer.subscribe(confluent ? { topics: [topic] } : { topics: [topic], fromBeginning: true })
    await consumer.run({
      eachMessage: async ({ message }) => {
        found.push(message.value.toString())
        assert.equal(message.headers.number.toString(), found.at(-1).split(' ')[1])
        readers.add(index)
        if (found.length >= count) finish()
      },
    })
  }
  await within(finished, () => `${found.length} of ${count} came`)
  for (const consumer of consumers) await consumer.disconnect()
  return found
}

// Copies the topic in transactions, with the offsets of a group; each third is aborted and done again.
async function copyInTransactions() {
  const target = `${topic}-copy`
  const groupId = `copiers-${topic}`
  const producer = kafka.producer(
    settings({ transactionalId: groupId, maxInFlightRequests: 1, idempotent: true })
  )
  await producer.connect()
  const reader = kafka.consumer(settings({ groupId, fromBeginning: true, autoCommit: false }))
  await reader.connect()
  await reader.subscribe(confluent ? { topics: [topic] } : { topics: [topic], fromBeginning: true })
  const records = []
  const all = new Promise((resolve) => {
    reader.run({
      ...(confluent ? {} : { autoCommit: false }),
      eachMessage: async ({ partition, message }) => {
        records.push({ partition, offset: Number(message.offset), value: message.value })
        if (records.length === COUNT) resolve()
      },
    })
  })
  await within(all, () => `${records.length} of ${COUNT} came to the copier`)
  let transactions = 0
  let aborted = 0
  for (let begin = 0; begin < COUNT; ) {
    const part = records.slice(begin, begin + 30)
    const ends = new Map(part.map(({ partition, offset }) => [partition, String(offset + 1)]))
    const partitions = [...ends].map(([partition, offset]) => ({ partition, offset }))
    const transaction = await producer.transaction()
    const messages = part.map(({ partition, value }) => ({ partition, value }))
    await transaction.send({ topic: target, messages })
    const whose = confluent ? { consumer: reader } : { consumerGroupId: groupId }
    await transaction.sendOffsets({ ...whose, topics: [{ topic, partitions }] })
    if (++transactions % 3 === 2) {
      await transaction.abort()
      aborted += part.length
    } else {
      await transaction.commit()
      begin += part.length
    }
  }
  await reader.disconnect()
  await producer.disconnect()
  const committed = await read(target, 'readers', COUNT, false)
  assert.equal(new Set(committed).size, COUNT, 'each was copied once')
  const everything = await read(target, 'curious', COUNT + aborted, true)
  assert.equal(new Set(everything).size, COUNT, 'what was aborted is there for those who want it')
  return groupId
}

// The first `count` values of a topic.
async function read(from, groupId, count, readUncommitted) {
  const found = []
  const reader = kafka.consumer(settings({ groupId, fromBeginning: true, readUncommitted }))
  await reader.connect()
  await reader.subscribe(confluent ? { topics: [from] } : { topics: [from], fromBeginning: true })
  const all = new Promise((resolve) => {
    reader.run({
      eachMessage: async ({ message }) => {
        found.push(message.value.toString())
        if (found.length >= count) resolve()
      },
    })
  })
  await within(all, () => `${found.length} of ${count} came from ${from}`)
  await reader.disconnect()
  return found
}

function within(promise, what) {
  const late = new Promise((_, reject) => setTimeout(() => reject(new Error(what())), 60000))
  return Promise.race([promise, late])
}

// A group has committed the topic to its end.
async function committedAll(admin, groupId, count) {
  const committed = await admin.fetchOffsets({ groupId, topics: [topic] })
  const total = committed[0].partitions.reduce((sum, each) => sum + Number(each.offset), 0)
  assert.equal(total, count)
}

async function administer(copiers) {
  const admin = kafka.admin()
  await admin.connect()
  assert((await admin.listTopics()).includes(topic))
  const ends = await admin.fetchTopicOffsets(topic)
  assert.deepEqual(ends.map((each) => [each.partition, each.high]).sort(), [
    [0, String(2 * COUNT / 3)],
    [1, String(2 * COUNT / 3)],
    [2, String(2 * COUNT / 3)],
  ])
  await committedAll(admin, `group-${topic}`, 2 * COUNT)
  await committedAll(admin, copiers, COUNT)
  assert((await admin.listGroups()).groups.some((each) => each.groupId === `group-${topic}`))
  await admin.deleteGroups([`group-${topic}`])
  await admin.deleteTopics({ topics: [topic] })
  await admin.disconnect()
}

async function main() {
  await produce()
  const first = await consume(COUNT, 1)
  assert.equal(new Set(first).size, COUNT)
  const copiers = await copyInTransactions()
  await produce()
  const second = await consume(COUNT, 2)
  assert.equal(second.length, COUNT, 'the group goes on where it stopped')
  await administer(copiers)
  console.log('done')
  process.exit(0)
}

main().catch((error) => {
  console.error(error)
  process.exit(1)
})
