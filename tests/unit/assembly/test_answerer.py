"""Settings become a pipeline: custom components and graphs replace the defaults; errors are clear."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest

from agents.components import Call, Generation, Passage
from agents.graph import Graph, Stage
from agents.http.addresses import Env
from agents.loading import Resources
from agents.pipeline import GENERATION, Asked
from agents.run import Run
from schemas.answer import Answer
from schemas.question import Question
from streams.assembly.answerer import Answerer, build_answerer
from streams.settings.errors import OperatorError, SettingsError
from streams.settings.model import Cache, ComponentSettings, Embeddings, Knowledge, Model, Settings
from tests.support.components import PASSAGE, SOURCE, FakeRetriever, RecordingObserver
from tests.support.system import free_port

Build = Callable[..., Awaitable[Answerer]]


def make_retriever(resources: Resources) -> FakeRetriever:
    assert resources.retriever is not None
    return FakeRetriever(passages=[PASSAGE])


def make_graph(resources: Resources) -> Graph:
    async def shout(run: Run, call: Call) -> Generation:
        passages: Sequence[Passage] = await resources.retriever.aretrieve(run.question, call)
        return Generation(run.question.text.upper() + f" {len(passages)}", "shouting")

    return Graph([Stage(output=GENERATION, run=shout)])


async def test_a_model_in_the_process_that_does_not_fit_is_one_line_at_the_start() -> None:
    settings = Settings(embeddings=Embeddings(local="/nowhere"))
    with pytest.raises(SettingsError, match=r"embeddings\.local: there is no directory /nowhere") as failure:
        await asyncio.to_thread(build_answerer, settings, {}, RecordingObserver())
    assert failure.value.exit_code == 2


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (
            Model(base_url="http://x/v1", headers={"api-key": Env("NONE")}),
            "model.headers.api-key: .*NONE is not set",
        ),
        (Model(base_url="http://x/v1", headers={"a b": "c"}), "not a header's name"),
        (
            Model(base_url="http://x/v1", parameters={"messages": []}),
            "model.parameters: messages: set .* by Kotae",
        ),
        (
            Model(
                base_url="http://x/v1", fallback_base_url="http://x/v1", fallback_parameters={"stream": True}
            ),
            "model.fallback_parameters: stream",
        ),
    ],
)
async def test_a_models_headers_and_parameters_are_checked_at_the_start(model: Model, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        await asyncio.to_thread(build_answerer, Settings(model=model), {}, RecordingObserver())


def make_nothing(resources: Resources) -> None:
    return None


@pytest.fixture
async def build() -> AsyncIterator[Build]:
    built: list[Answerer] = []

    async def build(**sections: object) -> Answerer:
        settings = Settings(**sections)  # type: ignore[arg-type] - each test gives its own sections
        # A worker builds before it serves; here a loop runs already, which opening an index would block.
        answerer = await asyncio.to_thread(build_answerer, settings, {}, RecordingObserver())
        built.append(answerer)
        return answerer

    yield build
    for answerer in built:
        await answerer.aclose()


async def answer(answerer: Answerer) -> Answer:
    deadline = asyncio.get_running_loop().time() + 5
    question = Question(id="q", text="How long is the warranty?")
    return (await answerer.pipeline.aanswer(Asked(question, SOURCE, deadline))).answer


async def test_without_settings_the_pipeline_extracts_from_an_empty_index(build: Build) -> None:
    answered = await answer(await build())
    assert (answered.status, answered.model) == ("answered", "extractive")
    assert "do not know" in answered.text


async def test_a_component_named_by_import_path_takes_the_defaults_place(build: Build) -> None:
    components = ComponentSettings(retriever=f"{__name__}:make_retriever")
    answered = await answer(await build(components=components))
    assert "three years" in answered.text
    assert answered.citations[0].chunk_id == PASSAGE.chunk_id


async def test_a_custom_graph_gets_the_chosen_components(build: Build) -> None:
    components = ComponentSettings(graph=f"{__name__}:make_graph", retriever=f"{__name__}:make_retriever")
    assert (await answer(await build(components=components))).text == "HOW LONG IS THE WARRANTY? 1"


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        (
            {"components": ComponentSettings(graph=f"{__name__}:make_nothing")},
            r"^\[components\] .*must return an .*Graph",
        ),
        ({"components": ComponentSettings(retriever=f"{__name__}:make_nothing")}, "aretrieve"),
        ({"components": ComponentSettings(generator="nobody-knows-it")}, r"^\[components\] nobody-knows-it"),
        ({"tools": {"weather": {"url": "ftp://somewhere"}}}, r"\[tools.weather\]"),
    ],
)
async def test_an_unusable_setting_is_reported_in_one_line(
    build: Build, sections: dict[str, object], said: str
) -> None:
    with pytest.raises(SettingsError, match=said) as wrong:
        await build(**sections)
    assert "\n" not in str(wrong.value)


async def test_an_answer_is_cached_unless_its_search_was_weakened(build: Build) -> None:
    away = Embeddings(base_url=f"http://127.0.0.1:{free_port()}/v1")
    for embeddings, results, degraded in (
        (Embeddings(), {"missed": 1, "memory": 1}, ()),
        (away, {"missed": 1, "passed": 1}, ("meaning_unavailable",)),
    ):
        answerer = await build(embeddings=embeddings)
        answerer.versions.begin()
        for _ in range(2):
            assert (await answer(answerer)).degraded == degraded
        assert answerer.caches.answers is not None
        assert answerer.caches.answers.results == results


async def test_the_caches_state_has_sizes_and_look_up_results(build: Build) -> None:
    answerer = await build()
    answerer.versions.begin()
    for _ in range(3):
        await answer(answerer)
    state = answerer.caches.state()
    assert state["answers"] == {"memory": 2, "shared": 0, "joined": 0, "missed": 1, "passed": 0}
    assert (state["entries"], state["searches"], state["redis"]) == (1, None, None)
    assert 400 < state["bytes"] < 2000
    url = f"redis://127.0.0.1:{free_port()}/0"
    shared = await build(cache=Cache(redis_url=url), embeddings=Embeddings(base_url="http://127.0.0.1:9/v1"))
    shared.versions.begin()
    await answer(shared)
    state = shared.caches.state()
    assert state["redis"] == {"breaker": "closed", "errors": 1, "dropped": 0}
    assert state["searches"] == {"found": 0, "missed": 1}
    assert (await build(cache=Cache(ttl_s=0))).caches.state()["answers"] is None


@pytest.mark.parametrize(("cache", "kept"), [(Cache(), False), (Cache(own_components=True), True)])
async def test_answers_of_custom_components_are_cached_if_the_settings_say_so(
    build: Build, cache: Cache, kept: bool
) -> None:
    components = ComponentSettings(retriever=f"{__name__}:make_retriever")
    assert ((await build(components=components, cache=cache)).caches.answers is not None) == kept
    assert (await build(cache=Cache(ttl_s=0))).caches.answers is None


async def test_an_index_that_cannot_be_opened_names_the_setting(build: Build) -> None:
    with pytest.raises(OperatorError, match="KOTAE_KNOWLEDGE__PATH"):
        await build(knowledge=Knowledge(path="/dev/null/nowhere"))
