"""Kafka's protocol on a bare socket, in any version, by kafka-python's codec.

For tests that need a request which no client sends, or the very answer.
"""

import io
import socket
import struct
import time

from kafka.protocol import admin, consumer, metadata, producer
from kafka.protocol.api_message import ApiMessage
from kafka.record import MemoryRecordsBuilder


def request_classes():
    """kafka-python's request classes by API key."""
    found = {}
    for module in (metadata, consumer, admin, producer):
        for name in dir(module):
            each = getattr(module, name)
            if isinstance(each, type) and issubclass(each, ApiMessage) and each.is_request():
                found[each.API_KEY] = each
    return found


REQUESTS = request_classes()


class Closed(AssertionError):
    """The broker ended the connection instead of answering."""


class Connection:
    """One connection that keeps the bytes of an answer beside what they mean."""

    def __init__(self, port, client_id="versions", timeout=10, host="127.0.0.1"):
        self.client_id = client_id
        self.socket = socket.create_connection((host, port), timeout=timeout)
        self.correlation = 0

    def close(self):
        self.socket.close()

    def receive(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise Closed("the broker closed the connection")
            data += more
        return data

    def ask(self, request):
        """Sends a request; the answer, which must be exactly what was decoded."""
        self.send(request)
        return self.answer(request)

    def send(self, request):
        self.correlation += 1
        request.with_header(correlation_id=self.correlation, client_id=self.client_id)
        sent = request.encode(framed=True, header=True)
        self.sent = bytes(sent)[4:]
        self.socket.sendall(sent)

    def answer(self, request):
        """The answer to the request sent last."""
        (size,) = struct.unpack(">i", self.receive(4))
        came = self.receive(size)
        # Both without their lengths.
        self.exchange = self.sent, came
        response_class = request.header.get_response_class()
        # Not `bytes`: the decoder of ApiVersions needs a file.
        answer = response_class.decode(io.BytesIO(came), header=True)
        assert answer.header.correlation_id == self.correlation
        again = answer.encode(header=True)
        assert bytes(again) == came, f"{request} was answered in other bytes than {answer}"
        return answer


def make(data_class, version, **fields):
    """A request, or a part of one: these fields as far as `version` has them."""

    def whole(name, value):
        field = data_class.fields[name]
        if value is None or not field.is_struct_array():
            return value
        return [make(field.data_class, version, **each) for each in value]

    in_version = [name for name in fields if data_class.fields[name].for_version_q(version)]
    filled = {name: whole(name, fields[name]) for name in in_version}
    return data_class(version=version, **filled)


def records(count=3, key=b"k", magic=2, size=2, timestamp=None):
    """A batch as a producer sends it, of now: retention takes older ones away."""
    first = int(time.time() * 1000) if timestamp is None else timestamp
    values = [b"%d" % number * size for number in range(count)]
    return records_of(values, key, magic, first)


def records_of(values, key=None, magic=2, first=None):
    """A batch of these values, a millisecond between them."""
    first = int(time.time() * 1000) if first is None else first
    builder = MemoryRecordsBuilder(magic=magic, compression_type=0, batch_size=10_000_000)
    for number, value in enumerate(values):
        builder.append(timestamp=first + number, key=key, value=value, headers=[])
    builder.close()
    return bytes(builder.buffer())
