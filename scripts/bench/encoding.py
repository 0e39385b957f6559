"""The few Kafka requests that a loader needs, encoded once and sent as they are.

The versions are ones that both Kafka 3.9 and Odradek serve, before the flexible
encodings, so that each field has a fixed place: Produce 7, Fetch 11,
CreateTopics 4, DeleteTopics 3.
"""

import os
import struct
import time

PRODUCE, FETCH, CREATE_TOPICS, DELETE_TOPICS = (0, 7), (1, 11), (19, 4), (20, 3)
BATCH_HEADER = 61


def crc32c(data):
    """CRC-32C, byte by byte: it is only needed for batches that are sent many times."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC_TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def _crc_entry(value):
    for _ in range(8):
        value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
    return value


_CRC_TABLE = [_crc_entry(value) for value in range(256)]


def varint(value):
    """A signed number in the zigzag encoding of records."""
    value = (value << 1) ^ (value >> 63)
    out = bytearray()
    while value > 0x7F:
        out.append((value & 0x7F) | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def record_batch(count, value_size):
    """A batch of format 2 with `count` records of `value_size` random bytes."""
    records = bytearray()
    for index in range(count):
        value = os.urandom(value_size)
        body = b"\0" + varint(0) + varint(index) + varint(-1) + varint(len(value)) + value
        body += varint(0)
        records += varint(len(body)) + body
    now = int(time.time() * 1000)
    covered = struct.pack(">hiqqqhii", 0, count - 1, now, now, -1, -1, -1, count) + records
    head = struct.pack(">iBI", -1, 2, crc32c(covered))
    return struct.pack(">qi", 0, len(head) + len(covered)) + head + covered


def string(text):
    return struct.pack(">h", len(text)) + text.encode()


def request(api, correlation, body):
    key, version = api
    header = struct.pack(">hhi", key, version, correlation) + string("bench")
    return struct.pack(">i", len(header) + len(body)) + header + body


def produce(topic, partition, batch, correlation):
    body = struct.pack(">hhi", -1, -1, 30000)
    body += struct.pack(">i", 1) + string(topic)
    body += struct.pack(">iii", 1, partition, len(batch)) + batch
    return request(PRODUCE, correlation, body)


def produce_answer(topic):
    """The layout of a produce answer with one partition: (size, error code)."""
    before = 4 + 4 + 2 + len(topic) + 4 + 4
    after = 8 + 8 + 8 + 4
    return struct.Struct(f">i{before}xh{after}x")


def fetch(topic, partition, offset, max_bytes, correlation, wait_ms=500):
    body = struct.pack(">iiiibii", -1, wait_ms, 1, max_bytes, 0, 0, -1)
    body += struct.pack(">i", 1) + string(topic)
    body += struct.pack(">iiiqqi", 1, partition, -1, offset, -1, max_bytes)
    body += struct.pack(">i", 0) + string("")
    return request(FETCH, correlation, body)


def fetch_prefix_size(topic):
    """Bytes of a fetch answer before its records, counted behind the length."""
    return 4 + 4 + 2 + 4 + 4 + 2 + len(topic) + 4 + (4 + 2 + 8 + 8 + 8 + 4 + 4 + 4)


def fetch_prefix(topic, prefix):
    """(error code, size of the records) of an answer with one partition."""
    (size,) = struct.unpack_from(">i", prefix, fetch_prefix_size(topic) - 4)
    return fetch_error(topic, prefix), size


def fetch_error(topic, answer):
    at = 4 + 4 + 2 + 4 + 4 + 2 + len(topic) + 4 + 4
    return struct.unpack_from(">h", answer, at)[0]


def base_offset(answer, at):
    """The base offset of the batch that begins there."""
    return struct.unpack_from(">q", answer, at)[0]


def create_topic(topic, partitions):
    body = struct.pack(">i", 1) + string(topic)
    body += struct.pack(">ihiii?", partitions, 1, 0, 0, 30000, False)
    return request(CREATE_TOPICS, 1, body)


def create_topic_error(topic, answer):
    return struct.unpack_from(">h", answer, 4 + 4 + 4 + 2 + len(topic))[0]


def delete_topic(topic):
    return request(DELETE_TOPICS, 1, struct.pack(">i", 1) + string(topic) + struct.pack(">i", 30000))


def receive(connection, size):
    """Exactly this many bytes."""
    out = bytearray(size)
    view = memoryview(out)
    while view:
        got = connection.recv_into(view)
        if not got:
            raise ConnectionError("the broker closed the connection")
        view = view[got:]
    return out


def answer_to(connection, data):
    """Sends a request and returns the answer without its length."""
    connection.sendall(data)
    (size,) = struct.unpack(">i", receive(connection, 4))
    return receive(connection, size)
