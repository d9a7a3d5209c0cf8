"""`kotae demo`."""

import asyncio
import os
import sys
import time
import uuid
from pathlib import Path

import click

from schemas.question import Question
from streams.cli.context import CommandContext
from streams.cli.showing import StreamWriter, details, timeline
from streams.client.asking import AskClient
from streams.local.demo import DemoSystem
from streams.local.demo_questions import DEMO_QUESTIONS, DemoQuestion, problems
from streams.local.trace_reader import TraceReader
from streams.settings.reader import DEFAULT
from streams.telemetry.logs import Logging

TIMEOUT_S = 30.0
TRACE_S = 3.0


@click.command()
@click.pass_obj
def command(context: CommandContext) -> int:
    """Start everything on this machine, ask five questions and show the answers; then you can ask.

    It uses the cluster that KOTAE_KAFKA__BOOTSTRAP_SERVERS names. Without one it starts Kafka from Maven's
    jars, or, if that is impossible, the in-process cluster of confluent-kafka. Without a terminal it ends
    after the five questions. The exit code is 1 if an answer was wrong.
    """
    # The clients' own log lines would come between the answers; the demo itself reports their failures.
    with Path(os.devnull).open("w") as nowhere, Logging(stream=nowhere):
        return asyncio.run(_demo(context))


async def _demo(context: CommandContext) -> int:
    began = time.monotonic()
    system = DemoSystem(
        context.settings,
        own_cluster=context.loaded.sources["kafka.bootstrap_servers"] != DEFAULT,
        environ=context.environ,
        say=lambda line: click.echo(click.style(f"· {line}", dim=True)),
    )
    async with system, AskClient(system.kafka) as client, TraceReader(system.kafka) as traces:
        click.echo(click.style(f"· ready after {time.monotonic() - began:.1f} s", dim=True))
        wrong = 0
        for number, question in enumerate(DEMO_QUESTIONS, 1):
            title = f"\n{number}/{len(DEMO_QUESTIONS)} {question.text}"
            click.echo(f"{click.style(title, bold=True)}  {click.style(question.note, dim=True)}")
            wrong += await _ask(client, traces, question)
        right = len(DEMO_QUESTIONS) - wrong
        click.echo(f"\n{right} of {len(DEMO_QUESTIONS)} answers are as expected.")
        if sys.stdin.isatty() and sys.stdout.isatty():
            await _converse(client, traces)
    return 1 if wrong else 0


async def _ask(client: AskClient, traces: TraceReader, question: DemoQuestion) -> bool:
    """Ask one of the demo's questions; whether its answer was wrong."""
    try:
        found = await _show(client, traces, _question(question.text, question.tenant), question)
    except TimeoutError as error:
        found = [str(error)]
    for problem in found:
        click.echo(click.style(f"  WRONG: {problem}", fg="red"))
    return bool(found)


async def _show(
    client: AskClient, traces: TraceReader, question: Question, expected: DemoQuestion | None = None
) -> list[str]:
    writer = StreamWriter(as_json=False)
    answer = await client.aask(question, timeout_s=TIMEOUT_S, on_delta=writer)
    writer.end(answer)
    for line in details(answer):
        click.echo(line)
    trace = await traces.afind(question.id, TRACE_S)
    if trace is not None:
        for line in timeline(trace):
            click.echo(click.style(line, dim=True))
    colour = {"answered": "green", "degraded": "yellow"}.get(answer.status, "red")
    total = answer.timings_ms.total or 0.0
    click.echo(f"  {click.style(answer.status, fg=colour)} in {total:.0f} ms by {answer.model or 'no model'}")
    return problems(expected, answer) if expected is not None else []


async def _converse(client: AskClient, traces: TraceReader) -> None:
    """Let the user ask until the input ends."""
    click.echo("Your turn: ask about the company's devices, offices and rules. An empty line ends the demo.")
    conversation = str(uuid.uuid4())
    while True:
        click.echo("? ", nl=False)
        text = (await _line()).strip()
        if not text:
            return
        try:
            await _show(client, traces, _question(text, "default", conversation))
        except TimeoutError as error:
            click.echo(str(error))


async def _line() -> str:
    """A line from the terminal; empty at the end of input. No thread reads it: Ctrl-C would wait for that."""
    loop = asyncio.get_running_loop()
    typed: asyncio.Future[str] = loop.create_future()

    def take() -> None:
        if not typed.done():
            typed.set_result(sys.stdin.readline())

    loop.add_reader(sys.stdin, take)
    try:
        return await typed
    finally:
        loop.remove_reader(sys.stdin)


def _question(text: str, tenant: str, conversation_id: str = "") -> Question:
    return Question(id=str(uuid.uuid4()), text=text, tenant=tenant, conversation_id=conversation_id)
