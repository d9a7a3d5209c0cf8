"""The hook's fan-out."""

from streams.telemetry.hook import Hook, Hooks


class Sink(Hook):
    def __init__(self) -> None:
        self.told: list[object] = []

    def delta_dropped(self) -> None:
        self.told.append("dropped")


class Talkative(Sink):
    def records_sent(self, topic: str, count: int, size: int) -> None:
        self.told.append((topic, size))


def test_an_event_reaches_each_sink_that_overrides_it_once() -> None:
    first, second = Sink(), Talkative()
    hooks = Hooks([first, second, Hook()])
    hooks.delta_dropped()
    hooks.records_sent("answers", 1, 3)
    hooks.loop_lagged(0.1)
    assert first.told == ["dropped"]
    assert second.told == ["dropped", ("answers", 3)]


def test_hooks_can_be_a_sink_themselves() -> None:
    sink = Talkative()
    Hooks([Hooks([Hook(), sink]), Hook()]).records_sent("answers", 1, 3)
    assert sink.told == [("answers", 3)]
