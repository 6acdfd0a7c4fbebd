"""What every question has in common, whatever it asks."""

from collections import Counter
from collections.abc import Callable
from typing import Any, get_origin

from fastapi import Depends, Request
from pydantic import BaseModel

from finops_api.errors import AskedTwice


def each_once(question: type[BaseModel]) -> Any:  # noqa: ANN401 -- as FastAPI's own Depends
    """A dependency that refuses what can only be meant once: of two starts the last would count, unseen."""
    fields = question.model_fields.items()
    once = {name for name, field in fields if get_origin(field.annotation) is not list}

    def check(request: Request) -> None:
        given = Counter(name for name, _ in request.query_params.multi_items())
        twice = sorted(name for name, times in given.items() if times > 1 and name in once)
        if twice:
            raise AskedTwice(f"Given more than once: {', '.join(twice)}. Give it once.")

    checked: Callable[[Request], None] = check
    return Depends(checked)
