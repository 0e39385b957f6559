"""What one client writes, every other reads: all generations, all codecs.

The whole matrix (`--matrix full`) takes long; the short form lets each writer
use some codecs, and a reader of each message format and language reads it.
"""

import functools

import generations
import pytest
from generations import CODECS, GO, JAVA, KCAT, PYTHON, READERS, WRITERS

COUNT = 60

# The codecs of each writer in the short form, so that each codec is written in
# each format; the newest release of each client stands for the others.
SHORT = {
    PYTHON[0]: ("gzip",),
    PYTHON[1]: ("none", "snappy"),
    PYTHON[2]: ("none", "lz4"),
    PYTHON[7]: ("lz4", "zstd"),
    GO[0]: ("snappy",),
    GO[1]: ("lz4",),
    GO[5]: ("snappy",),
    JAVA[0]: ("gzip",),
    JAVA[3]: ("none",),
}
SHORT_READERS = [PYTHON[0], PYTHON[1], PYTHON[2], PYTHON[6], GO[0], GO[5], JAVA[0], KCAT]


def pytest_generate_tests(metafunc):
    if metafunc.config.getoption("--matrix") == "full":
        pairs = [(writer, codec) for writer in WRITERS for codec in writer.codecs]
    else:
        pairs = [(writer, codec) for writer, codecs in SHORT.items() for codec in codecs]
    if "writer" in metafunc.fixturenames:
        names = [f"{writer}-{codec}" for writer, codec in pairs]
        metafunc.parametrize(("writer", "codec"), pairs, ids=names)


@pytest.fixture(scope="module", autouse=True)
def programs():
    generations.build()


@pytest.fixture
def readers(request):
    return READERS if request.config.getoption("--matrix") == "full" else SHORT_READERS


def test_records_survive_between_clients(cluster, unique, writer, codec, readers):
    topic = unique("matrix")
    written = generations.records(COUNT)
    writer.write(cluster.bootstrap, topic, codec, written)

    def check(reader):
        got = reader.read(cluster.bootstrap, topic, COUNT)
        seen = generations.seen(got, writer, reader)
        assert seen == generations.expected(written, writer, reader), f"read by {reader}"

    # Formats 0 and 1 have no zstd, and some clients no lz4.
    able = [reader for reader in readers if reader is KCAT or codec in reader.codecs]
    assert codec in CODECS and able
    generations.in_parallel([functools.partial(check, reader) for reader in able])
