"""The progress of a benchmark on the terminal."""

from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class Steps:
    """A bar with a number of steps; use it with `with`."""

    def __init__(self, total: int) -> None:
        self._progress = Progress(
            BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}")
        )
        self._task = self._progress.add_task("", total=total)

    def _tell(self, what: str) -> None:
        # In a file a bar would appear only at the end.
        if not self._progress.console.is_terminal:
            task = self._progress.tasks[0]
            print(f"{task.completed:.0f}/{task.total:.0f} {task.elapsed or 0:.0f} s {what}", flush=True)

    def __enter__(self) -> "Steps":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def begin(self, what: str) -> None:
        """Show the name of the current measurement."""
        self._progress.update(self._task, description=what)
        self._tell(what)

    def done(self, count: int = 1) -> None:
        """Move the bar by a number of steps."""
        self._progress.advance(self._task, count)
