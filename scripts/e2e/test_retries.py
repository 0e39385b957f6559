"""Retries of an idempotent producer whose answers get lost: no record twice.

The long form is `cuts.py`: 10 000 lost answers, also across restarts.
"""

import cuts
import pytest


@pytest.fixture
def behind_proxy(servers, tmp_path):
    cluster, port = cuts.new_cluster(tmp_path / "cluster", servers)
    yield cluster.start(), port
    cluster.close()


def test_lost_answers_make_no_record_twice(behind_proxy):
    cluster, port = behind_proxy
    assert cuts.lose_answers(cluster, port, retries=200, restarts=1, seed=7) > 200
