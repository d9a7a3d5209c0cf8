"""The models in the process: the built-in one, and one from a directory."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from agents.embeddings.builtin import FLOOR, BuiltinEncoder
from agents.embeddings.encoder import UnfitModelError
from agents.embeddings.local import LocalEmbeddings
from agents.embeddings.onnx import OnnxEncoder, Pooling
from agents.embeddings.protocol import NO_PREFIXES, Prefixes
from agents.knowledge.embedded import EmbeddedIndex
from agents.knowledge.fusion import Fusion
from schemas.document import Document
from tests.support.onnx_model import WORDS, write_model


@pytest.fixture(scope="module")
def builtin() -> BuiltinEncoder:
    return BuiltinEncoder()


def test_the_builtin_model_knows_meanings_across_languages(builtin: BuiltinEncoder) -> None:
    texts = ["Where do you keep the keys?", "Wo liegen die Schlüssel?", "钥匙放在哪里？", "The soup is cold."]
    vectors = builtin.encode(texts, search=True)
    assert vectors.shape == (4, 512)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    german, chinese, soup = vectors[1:] @ vectors[0]
    assert min(german, chinese) > 0.5 > FLOOR > soup


def test_a_huge_text_costs_no_more_than_a_chunk(builtin: BuiltinEncoder) -> None:
    text = "A sentence about gulls. " * 200_000
    assert np.allclose(builtin.encode([text], search=False), builtin.encode([text[:4_000]], search=False))


async def test_with_the_builtin_model_other_words_and_languages_find_a_passage_and_nonsense_does_not(
    builtin: BuiltinEncoder,
) -> None:
    embeddings = LocalEmbeddings(builtin)
    index = await asyncio.to_thread(EmbeddedIndex.open, embeddings=embeddings, fusion=Fusion(floor=FLOOR))
    await index.aupsert(
        [
            Document(id="boat", text="The ferry to the island leaves every morning at seven."),
            Document(id="bees", text="Honey is harvested twice a year, in June and in August."),
            Document(id="museum", text="Das Museum ist montags geschlossen, der Eintritt ist frei."),
        ]
    )

    async def found(text: str) -> list[str]:
        return [passage.document_id for passage in await index.asearch("default", text, 5)]

    assert (await found("At what time does the boat depart?"))[0] == "boat"
    assert (await found("渡轮几点开？"))[0] == "boat"
    assert (await found("On which day of the week is the museum shut?"))[0] == "museum"
    assert (await found("Wann wird Honig geerntet?"))[0] == "bees"
    assert await found("xyzzy plugh") == []
    await index.aclose()
    await embeddings.aclose()


def onnx(directory: Path, pooling: Pooling = "mean", prefixes: Prefixes = NO_PREFIXES) -> OnnxEncoder:
    return OnnxEncoder(directory, pooling=pooling, prefixes=prefixes, max_tokens=16)


def dimension(*weights: tuple[str, float]) -> list[float]:
    vector = np.zeros(len(WORDS))
    for word, weight in weights:
        vector[WORDS.index(word)] = weight
    return list(vector / np.linalg.norm(vector))


def test_a_model_from_a_directory_pools_its_tokens_as_told(tmp_path: Path) -> None:
    directory = write_model(tmp_path / "tiny")
    texts = ["lamp dusk dusk", "oven"]  # of different lengths: padding counts nothing
    assert np.allclose(
        onnx(directory).encode(texts, search=False),
        [dimension(("lamp", 1), ("dusk", 2)), dimension(("oven", 1))],
    )
    assert np.allclose(
        onnx(directory, "cls").encode(texts, search=False), [dimension(("lamp", 1)), dimension(("oven", 1))]
    )


def test_questions_and_passages_get_their_prefixes(tmp_path: Path) -> None:
    encoder = onnx(write_model(tmp_path / "tiny"), prefixes=Prefixes("query: ", "passage: "))
    assert np.allclose(encoder.encode(["lamp"], search=True), [dimension(("query:", 1), ("lamp", 1))])
    assert np.allclose(encoder.encode(["lamp"], search=False), [dimension(("passage:", 1), ("lamp", 1))])


def test_other_settings_make_vectors_of_another_name(tmp_path: Path) -> None:
    directory = write_model(tmp_path / "tiny")
    names = {
        onnx(directory).name,
        onnx(directory, "cls").name,
        onnx(directory, prefixes=Prefixes("query: ")).name,
    }
    assert len(names) == 3


def missing(_: Path) -> None:
    pass


def without_tokenizer(directory: Path) -> None:
    (write_model(directory) / "tokenizer.json").unlink()


def without_model(directory: Path) -> None:
    (write_model(directory) / "model.onnx").unlink()


def two_models(directory: Path) -> None:
    model = write_model(directory) / "model.onnx"
    model.rename(directory / "a.onnx")
    (directory / "b.onnx").write_bytes(b"")


def damaged_model(directory: Path) -> None:
    (write_model(directory) / "model.onnx").write_bytes(b"no model at all")


def damaged_tokenizer(directory: Path) -> None:
    (write_model(directory) / "tokenizer.json").write_text("{")


def model_of_pictures(directory: Path) -> None:
    write_model(directory, inputs=["pixels"])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (missing, "there is no directory"),
        (without_tokenizer, "has no tokenizer.json"),
        (without_model, "it has none"),
        (two_models, "it has a.onnx, b.onnx"),
        (damaged_model, "holds no usable model"),
        (damaged_tokenizer, "holds no usable model"),
        (model_of_pictures, "it wants pixels"),
    ],
)
def test_a_directory_that_does_not_fit_is_told_in_one_line(tmp_path: Path, make, says: str) -> None:
    make(tmp_path / "model")
    with pytest.raises(UnfitModelError, match=says) as failure:
        onnx(tmp_path / "model")
    assert "\n" not in str(failure.value)
