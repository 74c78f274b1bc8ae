# SPDX-License-Identifier: Apache-2.0
"""A stop that comes where Python raises nothing."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.conftest import ROOT

IN_A_CALLBACK = """
import os, signal, time, weakref
from scripts.files import stopping
stopping.install()
class Thing: pass
thing = Thing()
def gone(_):
    os.kill(os.getpid(), NUMBER)
    for _ in range(100): pass  # where the handler runs, and Python ignores what it raises
reference = weakref.ref(thing, gone)
try:
    del thing
    time.sleep(30)
finally:
    print("tidied up")
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, -2)])
def test_a_stop_in_the_callback_of_a_weak_reference_is_heard(number, status):
    code = IN_A_CALLBACK.replace("NUMBER", str(int(number)))
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=20,
        preexec_fn=lambda: [signal.signal(one, signal.SIG_DFL) for one in (signal.SIGHUP, signal.SIGINT)],
    )  # fmt: skip
    assert (ended.returncode, ended.stdout, ended.stderr.count("stopped")) == (status, "tidied up\n", 1)
    assert "Traceback" not in ended.stderr


BEHIND_THE_END = """
import os, signal
from scripts.files import stopping
class Torn:
    def __del__(self): os.kill(os.getpid(), signal.SIGHUP)
torn = Torn()  # goes as the last thing of all, where Python has put back what signals do
stopping.install()
stopping.finished()
"""


def test_a_stop_behind_the_end_of_the_work_does_not_ask_for_the_command_again():
    for behind, status, said in (
        ("", 0, ""),  # while the interpreter is torn down
        ("os.kill(os.getpid(), signal.SIGTERM)\n", 143, "\nstopped; all was written before\n"),
    ):
        ended = subprocess.run(
            [sys.executable, "-c", BEHIND_THE_END + behind], cwd=ROOT, capture_output=True, text=True, timeout=20
        )
        assert (ended.returncode, ended.stdout, ended.stderr) == (status, "", said)
