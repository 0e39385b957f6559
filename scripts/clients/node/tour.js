// What a program does with KafkaJS, or with a client that has the same interface.
//
//   node tour.js MODULE BOOTSTRAP TOPIC     MODULE: kafkajs or @confluentinc/kafka-javascript
//
// The topic has three partitions. Says "done" at its end.
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
  const late = new Promise((_, reject) => setTimeout(reject, 60000, new Error(`${found.length} came`)))
  await Promise.race([finished, late])
  for (const consumer of consumers) await consumer.disconnect()
  return found
}

async function administer() {
  const admin = kafka.admin()
  await admin.connect()
  assert((await admin.listTopics()).includes(topic))
  const ends = await admin.fetchTopicOffsets(topic)
  assert.deepEqual(ends.map((each) => [each.partition, each.high]).sort(), [
    [0, String(2 * COUNT / 3)],
    [1, String(2 * COUNT / 3)],
    [2, String(2 * COUNT / 3)],
  ])
  const committed = await admin.fetchOffsets({ groupId: `group-${topic}`, topics: [topic] })
  const total = committed[0].partitions.reduce((sum, each) => sum + Number(each.offset), 0)
  assert.equal(total, 2 * COUNT)
  assert((await admin.listGroups()).groups.some((each) => each.groupId === `group-${topic}`))
  await admin.deleteGroups([`group-${topic}`])
  await admin.deleteTopics({ topics: [topic] })
  await admin.disconnect()
}

async function main() {
  await produce()
  const first = await consume(COUNT, 1)
  assert.equal(new Set(first).size, COUNT)
  await produce()
  const second = await consume(COUNT, 2)
  assert.equal(second.length, COUNT, 'the group goes on where it stopped')
  await administer()
  console.log('done')
  process.exit(0)
}

main().catch((error) => {
  console.error(error)
  process.exit(1)
})
