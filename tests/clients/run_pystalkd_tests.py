"""Run pystalkd's own tests against a server of our choice: FILE HOST PORT TEST..."""

import importlib.util
import itertools
import json
import os
import sys
import unittest
from types import ModuleType


def main(path: str, host: str, port: str, *names: str) -> None:
    """Run the named tests of the file and print what came of it as JSON."""
    os.urandom = harmless_bytes
    case = load(path).TestBeanstalkd
    suite = unittest.TestSuite(case(name, host, int(port)) for name in names)
    result = unittest.TextTestRunner(stream=sys.stderr).run(suite)
    report = {
        "known": unittest.TestLoader().getTestCaseNames(case),
        "run": result.testsRun,
        "problems": {
            test.id(): text
            for test, text in itertools.chain(result.failures, result.errors, result.skipped)
        },
    }
    print(json.dumps(report))  # noqa: T201


def harmless_bytes(size: int) -> bytes:
    """Bytes of every value but white space, in place of random ones.

    pystalkd strips white space from both ends of a body, and takes a CRLF at the end of a packet
    for the end of the reply, so with random bytes its own tests fail now and then.
    """
    values = itertools.cycle(value for value in range(256) if not chr(value).isspace())
    return bytes(itertools.islice(values, size))


def load(path: str) -> ModuleType:
    """Import the test module from its file; it imports the installed client."""
    spec = importlib.util.spec_from_file_location("pystalkd_own_tests", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main(*sys.argv[1:])
