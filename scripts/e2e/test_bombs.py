"""Small requests that decompress to something huge: refused, in bounded memory."""

import gzip
import struct
import time
import zlib

import harness
import lz4.frame
import pytest
import zstandard
from kafka.protocol import admin, producer
from kafka.record.util import calc_crc32c
from wire import Connection, make

MESSAGE_TOO_LARGE, INVALID_RECORD = 10, 87
GZIP, LZ4, ZSTD = 1, 3, 4
# What a refusal may cost beside the request itself, in an unoptimised broker.
MEMORY_MAX = 300 << 20


def zeros(megabytes):
    """That many megabytes of zeros, one at a time."""
    for _ in range(megabytes):
        yield bytes(1 << 20)


def by_gzip(megabytes):
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(map(packer.compress, zeros(megabytes))) + packer.flush()


def by_lz4(megabytes):
    with lz4.frame.LZ4FrameCompressor(block_linked=False) as packer:
        begin = packer.begin()
        return begin + b"".join(map(packer.compress, zeros(megabytes))) + packer.flush()


def by_zstd(megabytes):
    packer = zstandard.ZstdCompressor().compressobj()
    return b"".join(map(packer.compress, zeros(megabytes))) + packer.flush()


# Codec and the most megabytes whose bomb fits one request.
BOMBS = {"gzip": (GZIP, by_gzip, 900), "lz4": (LZ4, by_lz4, 200), "zstd": (ZSTD, by_zstd, 1000)}


def batch(codec, packed):
    """A batch that says of `packed` that it is one record."""
    now = int(time.time() * 1000)
    fields = struct.pack(">hiqqqhii", codec, 0, now, now, -1, -1, -1, 1) + packed
    head = struct.pack(">ib", -1, 2) + struct.pack(">I", calc_crc32c(fields))
    return struct.pack(">qi", 0, len(head) + len(fields)) + head + fields


def message_set(codec, packed):
    """A wrapper of message format 1 around `packed`."""
    now = int(time.time() * 1000)
    fields = struct.pack(">bbqii", 1, codec, now, -1, len(packed)) + packed
    return struct.pack(">qiI", 0, len(fields) + 4, zlib.crc32(fields)) + fields


def peak(cluster):
    """The most memory that the broker has had, in bytes."""
    for line in open(f"/proc/{cluster.broker.pid}/status", encoding="ascii"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    raise AssertionError("no VmHWM")


def produce(connection, topic, version, records):
    data = [{"name": topic, "partition_data": [{"index": 0, "records": records}]}]
    fields = {"transactional_id": None, "acks": -1, "timeout_ms": 30_000, "topic_data": data}
    answer = connection.ask(make(producer.ProduceRequest, version, **fields))
    return answer.responses[0].partition_responses[0].error_code


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_in_bounded_memory(new_cluster, name):
    codec, pack, most = BOMBS[name]
    cluster = new_cluster()
    connection = Connection(cluster.broker_port)
    connection.socket.settimeout(60)
    topic = {
        "name": "bombs", "num_partitions": 1, "replication_factor": 1, "assignments": [],
        "configs": [{"name": "cleanup.policy", "value": "compact"}],
    }  # fmt: skip
    request = make(admin.CreateTopicsRequest, 4, topics=[topic], timeout_ms=10_000)
    assert connection.ask(request).topics[0].error_code == 0
    before = peak(cluster)
    for megabytes in (100, most):
        packed = pack(megabytes)
        assert len(packed) < 1_000_000
        # What it holds is looked at as it comes out, and is no record.
        assert produce(connection, "bombs", 8, batch(codec, packed)) == INVALID_RECORD
        if codec != ZSTD:
            assert produce(connection, "bombs", 2, message_set(codec, packed)) == MESSAGE_TOO_LARGE
    # What is no compressed data at all is no reason to try again either.
    broken = gzip.compress(b"x")[:-9] if codec == GZIP else b"\0" * 40
    assert produce(connection, "bombs", 8, batch(codec, broken)) == INVALID_RECORD
    if cluster.our_broker:
        assert peak(cluster) - before < MEMORY_MAX
    harness.wait_until(lambda: harness.accepts(cluster.broker_port), 5, "the broker goes on")
    connection.close()
