"""Makes a GGUF file of random weights, with a real vocabulary and chat template; its text is nonsense."""

from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, quantize

EMBEDDING, FEED_FORWARD, HEADS = 64, 128, 2
CONTEXT = 4096
_SEED = 7


def write_model(path: Path, vocabulary: Path, template: Path) -> None:
    """Write a model of the architecture `llama`, with one layer, to `path`."""
    reader = GGUFReader(vocabulary)
    writer = GGUFWriter(path, "llama")
    for field in reader.fields.values():
        if field.name.startswith("tokenizer.") and field.name != "tokenizer.chat_template":
            kind = field.types[0]
            inner = field.types[-1] if kind == GGUFValueType.ARRAY else None
            writer.add_key_value(field.name, field.contents(), kind, inner)
    size = len(reader.fields["tokenizer.ggml.tokens"].contents())
    writer.add_chat_template(template.read_text(encoding="utf-8"))
    writer.add_name("random")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(EMBEDDING)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_block_count(1)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(size)
    random = np.random.default_rng(_SEED)
    shared = EMBEDDING // HEADS
    shapes = {
        "token_embd": (size, EMBEDDING),
        "blk.0.attn_q": (EMBEDDING, EMBEDDING),
        "blk.0.attn_k": (shared, EMBEDDING),
        "blk.0.attn_v": (shared, EMBEDDING),
        "blk.0.attn_output": (EMBEDDING, EMBEDDING),
        "blk.0.ffn_gate": (FEED_FORWARD, EMBEDDING),
        "blk.0.ffn_up": (FEED_FORWARD, EMBEDDING),
        "blk.0.ffn_down": (EMBEDDING, FEED_FORWARD),
    }
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(EMBEDDING, dtype=np.float32))
    for name, shape in shapes.items():
        weights = random.normal(0.0, 0.5, shape).astype(np.float32)
        kind = GGMLQuantizationType.Q8_0
        writer.add_tensor(f"{name}.weight", quantize(weights, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
