"""Run a command beside a Kotae with simulated model and tools, those of `make bench` (W1):

    python -m tests.benchmarks.simulated locust -f tests/benchmarks/locustfile.py --headless

Broker, services, topics, documents and one worker are started for the command and end with it; its
environment names them.
"""

import asyncio
import logging
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.contenders import CONTENDERS
from tests.benchmarks.rig import W1, Rig
from tests.support.system import environment


async def main(command: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    print("starting Kafka, a model and tools that only wait, and a worker", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        async with Rig(Path(folder)) as rig, rig.running(CONTENDERS["kotae"], W1) as kotae:
            process = await asyncio.create_subprocess_exec(
                *command,
                env=environment(
                    KOTAE_KAFKA__BOOTSTRAP_SERVERS=rig.bootstrap,
                    KOTAE_KAFKA__TOPIC_PREFIX=kotae.topics.prefix,
                    BENCH_SERVICES_MS=f"{W1.critical_path_s * 1000:.0f}",
                ),
            )
            # A Ctrl-C at the terminal reaches the command as well: the system it asks must outlive it.
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, lambda: None)
            return await process.wait()


if __name__ == "__main__":
    # It logs that new topics have no leader yet, and tries again.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    sys.exit(asyncio.run(main(sys.argv[1:])))
