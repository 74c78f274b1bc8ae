# SPDX-License-Identifier: Apache-2.0
"""Start MONAI Label's command; a signal ends it with one line, whatever it is doing."""

import signal
import sys
from importlib import util
from pathlib import Path

if __name__ == "__main__":  # this process imports none of our packages
    place = Path(__file__).resolve().parents[3] / "scripts" / "files" / "stopping.py"
    spec = util.spec_from_file_location("stopping", place)
    assert spec is not None
    assert spec.loader is not None
    stopping = util.module_from_spec(spec)
    spec.loader.exec_module(stopping)
    stopping.install()
    signal.signal(signal.SIGINT, stopping.stop)  # uvicorn restores this handler
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is stopping.stop:  # uvicorn does not handle it
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    from monailabel.main import Main

    sys.argv[0] = "monailabel"
    Main().run()
