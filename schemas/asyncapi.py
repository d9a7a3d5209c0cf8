"""The AsyncAPI 3.0 document: every topic, its messages, and the way of a reply to its asker.

It is written from Kotae's side: Kotae receives questions and documents, and sends the rest. It leaves out
`journal`, because nobody else may read or write that.
"""

from collections.abc import Iterable
from typing import Any

from schemas.json_schema import component_schemas
from schemas.topics import Topics, TopicSpec

CONTRACT_VERSION = "1.0.0"
"""Version of messages, topics and headers. The major part changes when older readers would break."""

_BINDING = "0.5.0"

_CORRELATION = {
    "correlation_id": "Echoed byte for byte with every record that answers the question.",
    "traceparent": "W3C trace context.",
    "tracestate": "W3C trace context.",
    "baggage": "W3C baggage.",
}
_CLOUD_EVENT = {
    "ce_specversion": "CloudEvents, binary mode: `1.0`.",
    "ce_id": "Unique with `ce_source`.",
    "ce_source": "The event's producer.",
    "ce_type": "The event's type, for instance `kotae.answer`.",
    "ce_time": "The time of the event, RFC 3339.",
    "ce_partitionkey": "The record's key: the conversation.",
    "content-type": "`application/json`.",
}
_ASKED = {
    "reply_to": "A topic that gets a copy of the answer: `answers.replies`, or one that the operator allows.",
    "reply_partition": "The partition of `reply_to` that the copy goes to, decimal; default: by the key.",
    "reply_deltas": "`true`: the answer's pieces go to `reply_to` too, and not to `answers.deltas`.",
    "ce_expirytime": "The question's deadline, RFC 3339.",
    "timeout_ms": "The deadline, in milliseconds after the record's timestamp. `ce_expirytime` counts first.",
    "kafka_correlationId": "The same as `correlation_id`, from Spring for Apache Kafka.",
    "kafka_replyTopic": "The same as `reply_to`, from Spring for Apache Kafka.",
    "kafka_replyPartition": "The partition of `kafka_replyTopic`: 4 bytes, big endian.",
}
_CAUSED = {
    "ce_causationid": "The question's `ce_id`, or its id if it has none.",
    "ce_correlationid": "The conversation.",
}
_FAILED = {
    "__connect.errors.topic": "The record's topic.",
    "__connect.errors.partition": "The record's partition, decimal.",
    "__connect.errors.offset": "The record's offset, decimal.",
    "__connect.errors.stage": "The stage that failed.",
    "__connect.errors.exception.class.name": "The class of the exception.",
    "__connect.errors.exception.message": "The message of the exception.",
    "qa.dlq.timestamp": "The time of the failure, RFC 3339.",
    "qa.dlq.consumer-group": "The workers' group.",
    "qa.dlq.attempts": "The number of times that the record was tried, decimal.",
    "qa.dlq.disposition": "The error code of the failed answer, or `truncated` or `headers_lost`.",
    "qa.dlq.redrives": "The number of times that the record was sent back to be tried again, decimal.",
}
_REPLIES = ("answer", "answerDelta")
_CONVERSATION_KEY = "The conversation id. Questions of one conversation are answered in order."


def asyncapi_document(topics: Topics, *, partitions: int) -> dict[str, Any]:
    """Return the document for topics with these names and this number of partitions."""
    specs = {spec.name: spec for spec in topics.specs(partitions)}
    # Each with its topic, its messages and a description.
    channels = {
        "questions": (topics.questions, "question", "The questions to answer."),
        "answers": (
            topics.answers,
            "answer",
            "Exactly one terminal outcome for every record of `questions`.",
        ),
        "control": (topics.control, "cancel", "The questions that their askers call back."),
        "deltas": (
            topics.deltas,
            "answerDelta",
            "The text of answers while they stream, as the answers have it. Pieces may be lost.",
        ),
        "answerReplies": (
            topics.replies,
            " ".join(_REPLIES),
            "What clients asked for by `reply_to`, each on a partition of its own.",
        ),
        "deadLetters": (topics.dead_letters, "deadLetter", "Records that could not be answered."),
        "events": (topics.events, "questionTrace", "The stages of each question, with their times."),
        "feedback": (
            topics.feedback,
            "feedback",
            "What people think of answers. Kotae itself does not read it.",
        ),
        "documents": (
            topics.documents,
            "document",
            "The documents that answers rest on. A null value deletes a document.",
        ),
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Kotae",
            "version": CONTRACT_VERSION,
            "description": "Questions in from Kafka, cited answers out.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {
            name: _channel(specs[topic], messages.split(), description)
            for name, (topic, messages, description) in channels.items()
        }
        | {
            "replies": {
                "address": None,
                "description": "The topic that a question's `reply_to` names. It gets a copy of the answer.",
                "messages": {name: _message(name) for name in _REPLIES},
            }
        },
        "operations": {
            "receiveQuestion": _operation("receive", "questions", "question")
            | {
                "reply": {
                    "address": {"location": "$message.header#/reply_to"},
                    "channel": _ref("channels", "replies"),
                    "messages": [_ref("channels", "replies", "messages", name) for name in _REPLIES],
                }
            },
            "receiveCancel": _operation("receive", "control", "cancel"),
            "sendAnswer": _operation("send", "answers", "answer"),
            "sendAnswerDelta": _operation("send", "deltas", "answerDelta"),
            "sendReply": _operation("send", "answerReplies", *_REPLIES),
            "sendDeadLetter": _operation("send", "deadLetters", "deadLetter"),
            "sendQuestionTrace": _operation("send", "events", "questionTrace"),
            "receiveFeedback": _operation("receive", "feedback", "feedback"),
            "receiveDocument": _operation("receive", "documents", "document"),
        },
        "components": {"messages": _messages(), "schemas": component_schemas("#/components/schemas/{name}")},
    }


def _messages() -> dict[str, Any]:
    sent = _CORRELATION | _CLOUD_EVENT | _CAUSED
    sequence = {"ce_sequence": "The `sequence`, decimal."}
    dead = "The record as it came, byte for byte."
    return {
        "question": _typed("Question", _CORRELATION | _CLOUD_EVENT | _ASKED, _CONVERSATION_KEY),
        "answer": _typed("Answer", sent, _CONVERSATION_KEY),
        "cancel": _record({}, _CONVERSATION_KEY + " Its partition is that of the question.")
        | {"name": "Cancel", "payload": _ref("components", "schemas", "Cancel")},
        "answerDelta": _typed("AnswerDelta", sent | sequence, _CONVERSATION_KEY),
        "questionTrace": _typed("QuestionTrace", sent, _CONVERSATION_KEY),
        "feedback": _record(_CLOUD_EVENT, "The conversation id.")
        | {"name": "Feedback", "payload": _ref("components", "schemas", "Feedback")},
        "document": _record({}, "`<tenant>/<document id>`, each percent-encoded.")
        | {"name": "Document", "payload": _ref("components", "schemas", "Document")},
        "deadLetter": _record(_CORRELATION | _CLOUD_EVENT | _ASKED | _FAILED, "As it came.")
        | _correlated()
        | {"name": "DeadLetter", "contentType": "application/octet-stream", "description": dead},
    }


def _typed(name: str, headers: dict[str, str], key: str) -> dict[str, Any]:
    payload = _ref("components", "schemas", name)
    return {"name": name, "payload": payload} | _record(headers, key) | _correlated()


def _record(headers: dict[str, str], key: str) -> dict[str, Any]:
    properties = {name: {"type": "string", "description": text} for name, text in headers.items()}
    return {
        "headers": {"type": "object", "properties": properties},
        "bindings": {
            "kafka": {"key": {"type": "string", "description": key}, "bindingVersion": _BINDING},
        },
    }


def _correlated() -> dict[str, Any]:
    return {"correlationId": {"location": "$message.header#/correlation_id"}}


def _channel(spec: TopicSpec, messages: Iterable[str], description: str) -> dict[str, Any]:
    configuration: dict[str, Any] = {
        name: int(value) if value.isdigit() else value for name, value in spec.configs.items()
    }
    configuration["cleanup.policy"] = spec.configs["cleanup.policy"].split(",")
    return {
        "address": spec.name,
        "description": description,
        "messages": {name: _message(name) for name in messages},
        "bindings": {
            "kafka": {
                "partitions": spec.partitions,
                "topicConfiguration": configuration,
                "bindingVersion": _BINDING,
            }
        },
    }


def _operation(action: str, channel: str, *messages: str) -> dict[str, Any]:
    return {
        "action": action,
        "channel": _ref("channels", channel),
        "messages": [_ref("channels", channel, "messages", name) for name in messages],
    }


def _message(name: str) -> dict[str, str]:
    return _ref("components", "messages", name)


def _ref(*path: str) -> dict[str, str]:
    return {"$ref": "#/" + "/".join(path)}
