// What a program does with kafka-node.
//
//   node old_tour.js broker|zookeeper SERVER TOPIC
//
// The topic has three partitions. Says "done" at its end.
const assert = require('assert')
const { promisify } = require('util')
const kafka = require('kafka-node')

const [kind, server, topic] = process.argv.slice(2)
const byZookeeper = kind === 'zookeeper'
const COUNT = 30
const partitions = [0, 1, 2].map((partition) => ({ topic, partition }))
const group = 'old-tour-group'

const connect = () =>
  byZookeeper ? new kafka.Client(server, 'old-tour') : new kafka.KafkaClient({ kafkaHost: server })

// The method's result instead of a callback.
const ask = (object, method, ...rest) => promisify(object[method]).apply(object, rest)
const once = (object, event) => new Promise((resolve) => object.once(event, resolve))

async function produce() {
  const client = connect()
  const producer = new kafka.HighLevelProducer(client, { requireAcks: -1 })
  await once(producer, 'ready')
  await ask(client, 'refreshMetadata', [topic])
  for (let number = 0; number < COUNT; number++) {
    const payload = { topic, messages: [`value ${number}`], attributes: number % 2 }
    await ask(producer, 'send', [payload])
  }
  await ask(producer, 'close')
}

function consumer() {
  if (byZookeeper) {
    return new kafka.HighLevelConsumer(connect(), [{ topic }], { groupId: group })
  }
  return new kafka.ConsumerGroup({ kafkaHost: server, groupId: group, fromOffset: 'earliest' }, topic)
}

// Reads `count` values as a group.
async function consume(reader, count) {
  const values = new Set()
  reader.on('error', (error) => { throw error })
  await new Promise((resolve) =>
    reader.on('message', (message) => {
      // Kafka ends a converted answer with a piece of a message, which 2.6 gives as an empty one.
      if (message.value) values.add(message.value)
      if (values.size === count) resolve()
    })
  )
  return values
}

// Commits until all is committed: a fetch is noted only some time after its values have come.
async function commit(reader, offsets, wanted) {
  // The high level consumer of version 2 commits to ZooKeeper, the group to its coordinator.
  const how = byZookeeper ? 'fetchCommits' : 'fetchCommitsV1'
  for (let committed; JSON.stringify(committed) !== JSON.stringify(wanted); ) {
    await ask(reader, 'commit', true)
    committed = (await ask(offsets, how, group, partitions))[topic]
  }
}

async function main() {
  await produce()
  const reader = consumer()
  const values = await consume(reader, COUNT)
  for (let number = 0; number < COUNT; number++) assert(values.has(`value ${number}`))
  const client = connect()
  await once(client, 'ready')
  const offsets = new kafka.Offset(client)
  const latest = (await ask(offsets, 'fetchLatestOffsets', [topic]))[topic]
  assert.strictEqual(Object.values(latest).reduce((sum, each) => sum + each), COUNT)
  await commit(reader, offsets, latest)
  await ask(reader, 'close', true)
  if (!byZookeeper) {
    const described = await ask(new kafka.Admin(client), 'describeGroups', [group])
    assert.strictEqual(described[group].state, 'Empty')
  }
  console.log('done')
  process.exit(0)
}

main().catch((error) => {
  console.error(error)
  process.exit(1)
})
