"""Runs llama.cpp's server as a process: `python -m tests.interop.llama_server MODEL PORT`.

It is the server's own code, out of the wheel of xllamacpp: a build of it takes the compiler half an hour.
"""

import signal
import sys

import xllamacpp


def main(model: str, port: int) -> None:
    """Serve the model until a signal comes."""
    parameters = xllamacpp.CommonParams()
    parameters.model.path = model
    parameters.port = port
    parameters.n_ctx = 8192
    parameters.n_parallel = 2
    parameters.cpuparams.n_threads = 1
    parameters.use_jinja = True
    server = xllamacpp.Server(parameters)
    print(server.listening_address, flush=True)
    signal.pause()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
