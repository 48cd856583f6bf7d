# SPDX-License-Identifier: Apache-2.0
"""The program zeta from end to end: results against the oracle, formats, ranks, refusals, atomic outputs, faults.

Usage: test_cli.py PATH_TO_ZETA [unittest options]
"""

import sys
import unittest

import harness

if __name__ == "__main__":
    harness.use(sys.argv.pop(1))
    names = ["test_results", "test_refusals", "test_outputs", "test_faults", "test_commands"]
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        unittest.main(module=None)
    suite = unittest.defaultTestLoader.loadTestsFromNames(names)
    sys.exit(not unittest.TextTestRunner(verbosity=1).run(suite).wasSuccessful())
