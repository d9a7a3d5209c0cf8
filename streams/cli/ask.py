"""`kotae ask`."""

import asyncio
import uuid

import click
import msgspec
from aiokafka.errors import KafkaError

from schemas.codec import DecodeError, encode
from schemas.question import INSTRUCTIONS_MAX, TEXT_MAX, Question
from streams.cli.context import CommandContext
from streams.cli.showing import StreamWriter, details
from streams.client.asking import AskClient
from streams.settings.errors import OperatorError
from streams.settings.model import Kafka

_IN_WORDS = {
    "$.text": f"TEXT must have 1 to {TEXT_MAX:,} characters, and not only white space",
    "$.tenant": "--tenant must have 1 to 128 characters",
    "$.conversation_id": "--conversation must have at most 128 characters",
    "$.instructions": f"--instructions must have at most {INSTRUCTIONS_MAX:,} characters",
}


def _in_words(error: str) -> str:
    """The contract's error, told with the names of the command line."""
    field = error.rpartition("`")[0].rpartition("`")[2]
    return _IN_WORDS.get(field, error)


@click.command()
@click.argument("text")
@click.option(
    "--conversation",
    help="Conversation id: its answers come in the order of its questions; no earlier turn is remembered. "
    "Default: a new one.",
)
@click.option(
    "--tenant", default="default", show_default=True, help="The tenant whose documents and tools to use."
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=30.0,
    show_default=True,
    help="The question's deadline, in seconds. The command waits 3 s longer for the answer.",
)
@click.option(
    "--tool", "tools", multiple=True, help="Allow only this tool; repeat the option to allow several."
)
@click.option(
    "--instructions",
    metavar="TEXT",
    default="",
    help="Persona and style of the answer, such as 'Write like a patient teacher.'. They lift no rule.",
)
@click.option("--stream", is_flag=True, help="Print the answer while it is being written.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print the answer as JSON; with --stream, also a line a delta."
)
@click.pass_obj
def command(
    context: CommandContext,
    *,
    text: str,
    conversation: str | None,
    tenant: str,
    timeout: float,
    tools: tuple[str, ...],
    instructions: str,
    stream: bool,
    as_json: bool,
) -> int:
    """Ask a question over Kafka and print its answer.

    The exit code is 1 if the question failed or no answer came.
    """
    try:
        # The contract checks the options, so that a wrong one is reported before anything is written.
        question = msgspec.convert(
            {
                "id": str(uuid.uuid4()),
                "text": text,
                "tenant": tenant,
                "tools": tools or None,
                "conversation_id": conversation or "",
                "instructions": instructions,
            },
            Question,
        )
    except msgspec.ValidationError as error:
        raise click.UsageError(_in_words(str(error))) from error
    return asyncio.run(_ask(context.settings.kafka, question, timeout, stream=stream, as_json=as_json))


async def _ask(kafka: Kafka, question: Question, timeout_s: float, *, stream: bool, as_json: bool) -> int:
    writer = StreamWriter(as_json=as_json)
    async with AskClient(kafka, streaming=stream) as client:
        try:
            answer = await client.aask(question, timeout_s=timeout_s, on_delta=writer if stream else None)
        except TimeoutError as error:
            raise OperatorError(str(error)) from error
        except (KafkaError, ConnectionError, DecodeError) as error:
            raise OperatorError(
                f"the question could not be asked: {type(error).__name__}: {error}"
            ) from error
    if as_json:
        click.echo(encode(answer))
    else:
        writer.end(answer)
        for line in details(answer):
            click.echo(line)
    return 1 if answer.status == "failed" else 0
