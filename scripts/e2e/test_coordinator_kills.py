"""A short form of `coordinator_kills.py`: kill -9 under load, and the check."""

import os

import coordinator_kills


def test_nothing_promised_is_lost(tmp_path):
    seed = int(os.environ.get("SEED", int.from_bytes(os.urandom(4))))
    print(f"seed {seed}")
    assert "nothing lost" in coordinator_kills.trial(tmp_path, kills=10, seed=seed)
