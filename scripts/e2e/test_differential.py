"""A few thousand generated operations, the same ones on a real ZooKeeper.

The seed is new in every run and part of a failure's message; `differential.py` is
the long form and takes one.
"""

import os

import differential
from zookeeper_pair import Pair


def test_generated_operations_have_the_same_answers(tmp_path):
    seed = int(os.environ.get("SEED", int.from_bytes(os.urandom(4))))
    print(f"seed {seed}")
    with Pair(tmp_path, differential.keys()) as pair:
        ours, oracle = pair.addresses
        comparison = differential.Comparison(oracle, ours, seed)
        try:
            comparison.run(4000)
        except differential.Difference as difference:
            raise AssertionError(f"seed {seed}: {difference}") from None
    assert comparison.operations >= 4000
