"""What every question has in common, whatever it asks."""

from collections import Counter
from collections.abc import Callable
from typing import Annotated, Any, Self, get_origin

from fastapi import Depends, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator

from finops_api.errors import AskedTwice
from finops_warehouse.semantic import DIMENSIONS

MAX_VALUES = 100

Member = Annotated[str, Field(max_length=500)]
"""An id or a name; nothing Google Cloud names is longer."""


class Question(BaseModel):
    """Whatever is asked: no parameter that is not known, and no text that Postgres cannot hold."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="after")
    def _has_no_nul(self) -> Self:
        given = [value for values in self.model_dump().values() for value in _texts(values)]
        if any("\0" in value for value in given):
            raise ValueError("a value holds a NUL character, which no name can")
        return self


class Filtered(Question):
    """A filter for each dimension; `(unattributed)` is the member of charges that have none."""

    billing_account: list[Member] = Field([], max_length=MAX_VALUES)
    invoice_month: list[Member] = Field([], max_length=MAX_VALUES)
    project: list[Member] = Field([], max_length=MAX_VALUES)
    service: list[Member] = Field([], max_length=MAX_VALUES, description="Id or name.")
    sku: list[Member] = Field([], max_length=MAX_VALUES, description="Id or name.")
    region: list[Member] = Field([], max_length=MAX_VALUES)
    charge_category: list[Member] = Field([], max_length=MAX_VALUES)
    cost_type: list[Member] = Field([], max_length=MAX_VALUES)

    def filters(self) -> dict[str, list[str]]:
        """The members asked for, by dimension."""
        return {name: values for name in DIMENSIONS if (values := getattr(self, name))}


def _texts(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [one for one in values if isinstance(one, str)]


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
