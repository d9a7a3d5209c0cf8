"""The messages on the topic `questions.control`, by which an asker calls a question back.

A record has its conversation's id as its key and the partition number of its question. Readers pass over
a type that they do not know.
"""

from typing import Literal

from msgspec import Struct

from schemas.answer import Instant, Source

CancelReason = Literal["disconnect", "request"]
"""Why nobody wants the answer any more.

* `disconnect`: the asker is gone.
* `request`: the asker said so.
"""


class Cancel(Struct, frozen=True, kw_only=True):
    """The wish that a question be not answered.

    `source`: the question's record. `tenant`: the question's tenant; another one's wish is ignored. `at`: the
    time of the wish, by the asker's clock.
    """

    type: Literal["cancel"]
    source: Source
    tenant: str = "default"
    reason: CancelReason = "request"
    at: Instant | None = None
