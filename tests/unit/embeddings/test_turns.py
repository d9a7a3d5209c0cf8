"""The order of texts for a model in the process."""

from hypothesis import given
from hypothesis import strategies as st

from agents.embeddings.turns import CHARACTERS_AT_ONCE, Job, Turns


def job(*texts: str, search: bool = False, urgent: bool = False) -> Job[str]:
    return Job(texts, search=search, urgent=urgent)


def test_texts_of_questions_come_before_those_of_documents_that_came_first() -> None:
    turns: Turns[str] = Turns()
    long = "x" * CHARACTERS_AT_ONCE
    turns.add(job(long, long, long))
    first = turns.take()
    assert first is not None
    assert len(first.texts) == 1
    turns.add(job("a question", search=True, urgent=True))
    second = turns.take()
    assert second is not None
    assert (second.texts, second.search) == (["a question"], True)
    assert turns.waiting == 2


def test_questions_are_never_computed_together_with_passages() -> None:
    turns: Turns[str] = Turns()
    turns.add(job("question", search=True, urgent=True))
    turns.add(job("sentence", urgent=True))
    batches = [turns.take(), turns.take()]
    assert [batch.texts for batch in batches if batch] == [["question"], ["sentence"]]


def test_a_job_that_nobody_waits_for_is_left_out() -> None:
    turns: Turns[str] = Turns()
    given_up = job("a", "b")
    turns.add(given_up)
    turns.add(job("c"))
    given_up.given_up = True
    batch = turns.take()
    assert batch is not None
    assert batch.texts == ["c"]
    assert turns.take() is None


jobs = st.tuples(st.lists(st.text(max_size=900), min_size=1, max_size=8), st.booleans(), st.booleans())


@given(st.lists(jobs, max_size=8))
def test_every_job_gets_the_vectors_of_its_own_texts_in_their_order(
    added: list[tuple[list[str], bool, bool]],
) -> None:
    turns: Turns[str] = Turns()
    made = [job(*texts, search=search, urgent=urgent) for texts, search, urgent in added]
    for each in made:
        turns.add(each)
    complete = []
    while (batch := turns.take()) is not None:
        assert len(batch.texts) == 1 or sum(map(len, batch.texts)) <= CHARACTERS_AT_ONCE
        assert {each.search for each in batch.jobs} == {batch.search}
        complete += batch.deliver([f"vector of {text}" for text in batch.texts])
    assert len(complete) == len(made)
    for each in made:
        assert each.vectors == [f"vector of {text}" for text in each.texts]
