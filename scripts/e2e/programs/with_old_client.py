"""Runs a program with kafka-python 2.0.2 from a folder of its own.

with_old_client.py FOLDER PROGRAM [ARG...]

That release imports a bundled `six` in a way that Python 3.12 removed; the
real `six` takes its place.
"""

import runpy
import sys

import six

folder, program = sys.argv[1:3]
sys.path.insert(0, folder)
if sys.version_info >= (3, 12):
    sys.modules["kafka.vendor.six"] = six
    sys.modules["kafka.vendor.six.moves"] = six.moves
import kafka  # noqa: E402

assert kafka.__version__ == "2.0.2", kafka.__version__
sys.argv = sys.argv[2:]
runpy.run_path(program, run_name="__main__")
