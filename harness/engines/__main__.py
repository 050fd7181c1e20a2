"""`python -m harness.engines tgi --port 8080`: a stand-in engine as a process, in place of one that a server starts.

Arguments of the real engine that it does not know are let pass.
"""

import argparse
import threading
from collections.abc import Callable

from harness.engines.llamacpp import LlamaCppFormat
from harness.engines.stand_in import stand_in
from harness.engines.tgi import TgiFormat
from harness.engines.triton import TritonFormat
from harness.engines.vllm import VllmFormat
from harness.engines.wire_format import WireFormat

FORMATS: dict[str, Callable[[], WireFormat]] = {
    "llamacpp": LlamaCppFormat,
    "tgi": TgiFormat,
    "triton": TritonFormat,
    "vllm": VllmFormat,
}


def main() -> None:
    """Answer until the process is ended."""
    parser = argparse.ArgumentParser(prog="python -m harness.engines", description=__doc__, allow_abbrev=False)
    parser.add_argument("engine", choices=FORMATS)
    parser.add_argument("--port", type=int, default=0, help="on loopback; 0 takes a free one")
    known, _ = parser.parse_known_args()
    with stand_in(FORMATS[known.engine](), port=known.port):
        threading.Event().wait()


if __name__ == "__main__":
    main()
