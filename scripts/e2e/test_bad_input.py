"""Bytes that no client sends: the connection ends, the daemon goes on."""

import random
import socket
import struct

import pytest
from harness import accepts, four_letter, run, wait_until

API_VERSIONS, PRODUCE, FETCH, METADATA, JOIN_GROUP = 18, 0, 1, 3, 11


def frame(body, length=None):
    return struct.pack(">i", len(body) if length is None else length) + body


def request_header(key, version, correlation=1):
    return struct.pack(">hhih", key, version, correlation, -1)


def noise(seed, size):
    return random.Random(seed).randbytes(size)


KAFKA = {
    "random bytes": noise(1, 4096),
    "an HTTP request": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a TLS hello": bytes.fromhex("16030100f8010000f40303") + noise(2, 240),
    "a frame of 2 GiB": frame(b"", 0x7FFFFFFF),
    "a negative length": frame(b"", -1),
    "the most negative length": frame(b"", -0x80000000),
    "a frame of length 0": frame(b""),
    "half a header": frame(b"\0\x12\0"),
    "an unknown API": frame(request_header(9999, 0)),
    "a negative API": frame(request_header(-1, 0)),
    "a version too new": frame(request_header(METADATA, 999)),
    "a negative version": frame(request_header(METADATA, -5)),
    "an array of 2 billion topics": frame(request_header(METADATA, 1) + b"\x7f\xff\xff\xff"),
    "an array count below -1": frame(request_header(METADATA, 1) + struct.pack(">i", -7)),
    "a compact array of 4 billion": frame(
        request_header(METADATA, 12) + b"\0" + b"\xff\xff\xff\xff\x0f"
    ),
    "an endless varint": frame(request_header(METADATA, 12) + b"\0" + b"\xff" * 64),
    "a produce body of noise": frame(request_header(PRODUCE, 7) + noise(3, 500)),
    "a fetch body of noise": frame(request_header(FETCH, 11) + noise(4, 500)),
    "a join body of noise": frame(request_header(JOIN_GROUP, 5) + noise(5, 500)),
    "a body cut short": frame(request_header(METADATA, 1) + struct.pack(">ih", 1, 30) + b"abc"),
}

COORDINATOR = {
    "random bytes": noise(6, 4096),
    "an HTTP request": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a frame of 2 GiB": frame(b"", 0x7FFFFFFF),
    "a negative length": frame(b"", -1),
    "a frame of length 0": frame(b""),
    "a short connect request": frame(b"\0\0\0\0\0\0"),
    "a password of 2 GiB": frame(struct.pack(">iqiqi", 0, 0, 6000, 0, 0x7FFFFFFF)),
    "a password length below -1": frame(struct.pack(">iqiqi", 0, 0, 6000, 0, -2)),
}

CONNECT = frame(struct.pack(">iqiqi", 0, 0, 6000, 0, 16) + bytes(16))
AFTER_CONNECT = {
    "an unknown operation": frame(struct.pack(">ii", 1, 9999)),
    "noise for a create": frame(struct.pack(">ii", 1, 1) + noise(7, 200)),
    "a path of 2 GiB": frame(struct.pack(">iii", 1, 3, 0x7FFFFFFF)),
    "a path length below -1": frame(struct.pack(">iii", 1, 3, -2)),
    "a multi that never ends": frame(struct.pack(">ii", 1, 14) + struct.pack(">ibi", 1, 0, -1) * 3),
    "a list of 2 billion watches": frame(struct.pack(">iiqi", -8, 101, 0, 0x7FFFFFFF)),
    "a header cut short": frame(b"\0\0\0\1"),
    "a frame beyond the limit": frame(b"", 64 * 1024 * 1024),
    "random frames": b"".join(frame(noise(seed, 60)) for seed in range(20)),
}


def send_and_hang_up(port, data):
    """Sends the bytes, ends the sending side, and reads until the daemon hangs up."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            received = bytearray()
            while chunk := connection.recv(65536):
                received += chunk
            return bytes(received)
        except OSError as error:
            assert not isinstance(error, TimeoutError), "the daemon keeps the connection open"
            return b""


def resident_mb(pid):
    with open(f"/proc/{pid}/status") as status:
        (line,) = [line for line in status if line.startswith("VmRSS:")]
    return int(line.split()[1]) // 1024


def broker_answers(cluster):
    """ApiVersions 0 is answered with the same correlation id and no error."""
    with socket.create_connection(("127.0.0.1", cluster.broker_port), timeout=10) as connection:
        connection.sendall(frame(request_header(API_VERSIONS, 0, correlation=77)))
        answer = connection.recv(65536)
    return len(answer) > 10 and struct.unpack_from(">ih", answer, 4) == (77, 0)


@pytest.mark.parametrize("what", KAFKA)
def test_broker_goes_on_after(cluster, what):
    pid, before = cluster.broker.pid, resident_mb(cluster.broker.pid)
    send_and_hang_up(cluster.broker_port, KAFKA[what])
    assert broker_answers(cluster)
    assert cluster.broker.running() and cluster.broker.pid == pid
    assert resident_mb(pid) < before + 100


@pytest.mark.parametrize("what", COORDINATOR)
def test_coordinator_goes_on_after(cluster, what):
    send_and_hang_up(cluster.zookeeper_port, COORDINATOR[what])
    assert four_letter(cluster.zookeeper_port, "ruok") == "imok"
    assert cluster.coordinator.running()


@pytest.mark.parametrize("what", AFTER_CONNECT)
def test_coordinator_session_goes_on_after(cluster, what):
    before = resident_mb(cluster.coordinator.pid)
    answer = send_and_hang_up(cluster.zookeeper_port, CONNECT + AFTER_CONNECT[what])
    assert len(answer) >= 40, "the connect request is answered"
    assert four_letter(cluster.zookeeper_port, "ruok") == "imok"
    assert cluster.coordinator.running()
    assert resident_mb(cluster.coordinator.pid) < before + 100


def test_unknown_api_is_refused_by_closing(cluster):
    assert send_and_hang_up(cluster.broker_port, KAFKA["an unknown API"]) == b""


def test_silent_and_slow_connections_hold_nobody_up(cluster, unique):
    idle = [socket.create_connection(("127.0.0.1", cluster.broker_port)) for _ in range(50)]
    try:
        for number, connection in enumerate(idle):
            connection.sendall(frame(b"", 1000)[: number % 5])
        topic = unique("slow")
        run(["kcat", "-b", cluster.bootstrap, "-P", "-t", topic], stdin="through\n")
        read = run(["kcat", "-b", cluster.bootstrap, "-C", "-t", topic, "-e", "-q", "-o", "beginning"])
        assert read == "through\n"
    finally:
        for connection in idle:
            connection.close()
    wait_until(lambda: accepts(cluster.broker_port), 5, "the broker accepts")
