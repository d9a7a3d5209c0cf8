"""Builds llama.cpp's library and a model of random weights, once: `make interop` runs it in `.venv-interop`.

llama-cpp-python has no wheel; the source of llama.cpp lies in its source distribution. The library is built
apart from the package, so that it is kept when the environment is made anew.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from tests.interop.random_model import write_model

VERSION = "0.3.36"
_REQUIREMENT = (
    f"llama-cpp-python=={VERSION} "
    "--hash=sha256:832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e\n"
)
_VOCABULARY, _TEMPLATE = "ggml-vocab-qwen2.gguf", "templates/Qwen-Qwen3-0.6B.jinja"
# The model is tiny: what takes long is the compiler.
_OPTIONS = (
    *("-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_C_FLAGS_RELEASE=-O2 -DNDEBUG"),
    *("-DCMAKE_CXX_FLAGS_RELEASE=-O0 -DNDEBUG", "-DBUILD_SHARED_LIBS=ON", "-DLLAMA_BUILD_SERVER=OFF"),
    *("-DLLAMA_BUILD_TESTS=OFF", "-DLLAMA_BUILD_EXAMPLES=OFF", "-DLLAMA_BUILD_APP=OFF"),
    *("-DLLAMA_BUILD_TOOLS=OFF", "-DLLAMA_BUILD_COMMON=OFF", "-DGGML_LLAMAFILE=OFF", "-DGGML_OPENMP=OFF"),
)


def folder() -> Path:
    """Return the folder of this build; it holds `bin` and `random.gguf` once it is done."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "kotae" / f"llama.cpp-{VERSION}"


def main() -> None:
    """Build what is not there, and install the Python server into this environment."""
    built = folder()
    with tempfile.TemporaryDirectory() as temporary:
        archive = _fetch(Path(temporary))
        # The package without the library: it loads ours.
        options = ("--no-deps", "--no-build-isolation")
        _run(*_PIP, "install", *options, str(archive), CMAKE_ARGS="-DLLAMA_BUILD=OFF")
        if (built / "random.gguf").exists():
            return
        source = built / "source"
        with tarfile.open(archive) as files:
            files.extractall(source, filter="data")
        root = source / f"llama_cpp_python-{VERSION}" / "vendor" / "llama.cpp"
        _run("cmake", "-S", str(root), "-B", str(built), *_OPTIONS)
        cores = str(os.cpu_count() or 1)
        _run("cmake", "--build", str(built), "--target", "llama", "--parallel", cores)
        write_model(built / "unfinished.gguf", root / "models" / _VOCABULARY, root / "models" / _TEMPLATE)
        shutil.rmtree(source)
        (built / "unfinished.gguf").rename(built / "random.gguf")


_PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")


def _fetch(into: Path) -> Path:
    requirements = into / "requirements.txt"
    requirements.write_text(_REQUIREMENT, encoding="utf-8")
    options = ("--no-deps", "--no-build-isolation", "--no-binary", ":all:", "--require-hashes")
    _run(*_PIP, "download", *options, "--dest", str(into), "--requirement", str(requirements))
    return next(into.glob("llama_cpp_python-*.tar.gz"))


def _run(*command: str, **env: str) -> None:
    subprocess.run(command, check=True, env={**os.environ, **env})


if __name__ == "__main__":
    main()
