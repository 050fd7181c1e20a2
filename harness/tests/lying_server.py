"""The reference server behind a proxy that changes what it says of times: `python -m … LIE --config FILE`.

For `--launch`: it prints the address of the proxy, and stops what it started on SIGTERM.
"""

import json
import os
import signal
import sys
import tempfile
from pathlib import Path

from harness.target import REFERENCE_SERVER, TOKEN_ENV, Servers
from harness.tests.saboteurs import Fault, SaysConstantStart, ScalesRetryAfter, sabotaged

LIES: dict[str, Fault] = {
    "none": Fault(),
    "too-short": ScalesRetryAfter(0.4),
    "too-long": ScalesRetryAfter(5.0),
    "constant-start": SaysConstantStart(),
}


def main(lie: str, config: str) -> None:
    """Serve until SIGTERM."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    settings = json.loads(Path(config).read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        servers = Servers(REFERENCE_SERVER, folder=Path(folder))
        try:
            target = servers.start(settings, token=os.environ[TOKEN_ENV])
            with sabotaged(target.url, LIES[lie]) as url:
                sys.stdout.write(json.dumps({"event": "ready", "url": url}) + "\n")
                sys.stdout.flush()
                signal.pause()
        except KeyboardInterrupt:
            return
        finally:
            servers.stop()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[sys.argv.index("--config") + 1])
