"""Lets releases of kafka-python before 2.0.3 start on Python 3.12 and newer.

They import a bundled `six` in a way that Python has removed; the real one stands in.
"""

import sys

if sys.version_info >= (3, 12):
    import six

    sys.modules["kafka.vendor.six"] = six
    sys.modules["kafka.vendor.six.moves"] = six.moves
