# SPDX-License-Identifier: Apache-2.0
"""MONAI Label's command, which a signal ends by one line, whatever it is doing."""

import signal
import sys
from importlib import util
from pathlib import Path

if __name__ == "__main__":  # in this process no package of ours is imported
    place = Path(__file__).resolve().parents[3] / "scripts" / "files" / "stopping.py"
    spec = util.spec_from_file_location("stopping", place)
    assert spec is not None
    assert spec.loader is not None
    stopping = util.module_from_spec(spec)
    spec.loader.exec_module(stopping)
    stopping.install()
    signal.signal(signal.SIGINT, stopping.stop)  # to which uvicorn comes back
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is stopping.stop:  # unknown to uvicorn
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    from monailabel.main import Main

    sys.argv[0] = "monailabel"
    Main().run()
