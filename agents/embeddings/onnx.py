"""A model from a directory: an ONNX file, and the `tokenizer.json` of Hugging Face's tokenizers."""

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from agents.embeddings.comparing import Scale
from agents.embeddings.encoder import UnfitModelError
from agents.embeddings.protocol import Prefixes

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

EXTRA = "onnx"
"""The extra of our package that brings what runs such a model."""

TOKENIZER = "tokenizer.json"

Pooling = Literal["mean", "cls"]
"""How a text's vector is made of those of its tokens: their mean, or the first one."""

_INPUTS = {"input_ids", "attention_mask", "token_type_ids"}


class OnnxEncoder:
    """See `Encoder`.

    Raises:
        UnfitModelError: the directory does not hold such a model, or it cannot be run.
    """

    scale: Scale | None = None

    def __init__(self, directory: Path, *, pooling: Pooling, prefixes: Prefixes, max_tokens: int) -> None:
        try:
            # Here, because they are loaded only where they are used.
            import onnxruntime  # noqa: PLC0415
            from tokenizers import Tokenizer  # noqa: PLC0415
        except ImportError as error:
            raise UnfitModelError(
                f"a model from a directory needs more packages: pip install 'kotae[{EXTRA}]' ({error})"
            ) from error
        file = _model_file(directory)
        options = onnxruntime.SessionOptions()
        # More threads would take the cores of other workers.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3  # its warnings are about how the model was exported
        self._prefixes = prefixes
        self._pooling = pooling
        try:
            self._tokenizer = Tokenizer.from_file(str(directory / TOKENIZER))
            self._tokenizer.enable_truncation(max_tokens)
            self._session = onnxruntime.InferenceSession(str(file), options, ["CPUExecutionProvider"])
        except Exception as error:  # both libraries raise whatever they like for a file that they cannot read
            raise UnfitModelError(f"{directory} holds no usable model: {_one_line(error)}") from error
        self._wanted = [each.name for each in self._session.get_inputs()]
        if "input_ids" not in self._wanted or not _INPUTS.issuperset(self._wanted):
            told = ", ".join(self._wanted)
            raise UnfitModelError(f"{file} is no model of texts: it wants {told}, not input_ids")
        self.name = prefixes.named(f"{_digest(file, directory / TOKENIZER)} {pooling} {max_tokens}")
        try:
            self.encode(["one", "another text"], search=True)
        except Exception as error:
            raise UnfitModelError(f"{file} embeds no text: {_one_line(error)}") from error

    def encode(self, texts: Sequence[str], *, search: bool) -> "NDArray[float32]":
        """See `Encoder`."""
        import numpy as np  # noqa: PLC0415 - see above

        pieces = self._tokenizer.encode_batch(
            [self._prefixes.put_before(text, search=search) for text in texts]
        )
        longest = max(1, *(len(piece.ids) for piece in pieces))
        ids = np.zeros((len(texts), longest), np.int64)
        there = np.zeros_like(ids)
        for row, piece in enumerate(pieces):
            ids[row, : len(piece.ids)] = piece.ids
            there[row, : len(piece.ids)] = 1
        inputs = {"input_ids": ids, "attention_mask": there, "token_type_ids": np.zeros_like(ids)}
        output: Any = self._session.run(None, {name: inputs[name] for name in self._wanted})[0]
        if output.ndim == 3:
            if self._pooling == "cls":
                output = output[:, 0]
            else:
                output = (output * there[:, :, None]).sum(1) / np.maximum(there.sum(1), 1)[:, None]
        if output.ndim != 2 or len(output) != len(texts):
            raise ValueError(f"an output of the shape {output.shape} for {len(texts)} texts")
        lengths = np.linalg.norm(output, axis=1, keepdims=True)
        vectors: NDArray[float32] = (output / np.maximum(lengths, 1e-12)).astype(np.float32)
        return vectors


def _model_file(directory: Path) -> Path:
    if not directory.is_dir():
        raise UnfitModelError(f"there is no directory {directory}")
    if not (directory / TOKENIZER).is_file():
        raise UnfitModelError(f"{directory} has no {TOKENIZER}")
    found = sorted(directory.glob("*.onnx")) or sorted(directory.glob("onnx/*.onnx"))
    preferred = [file for file in found if file.name == "model.onnx"] or found
    if len(preferred) != 1:
        told = ", ".join(file.name for file in found) or "none"
        raise UnfitModelError(f"{directory} must have one ONNX file, or one named model.onnx; it has {told}")
    return preferred[0]


def _digest(*files: Path) -> str:
    """Return a name for what is in the files: another model at the same place makes other vectors."""
    hashed = blake2b(digest_size=8)
    for file in files:
        with file.open("rb") as opened:
            while part := opened.read(1 << 20):
                hashed.update(part)
    return f"onnx-{hashed.hexdigest()}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or repr(error)
