"""What every question has in common, whatever it asks."""

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, date, datetime
from functools import cache, lru_cache
from typing import Annotated, Any, Self, TypeVar, get_origin
from urllib.parse import parse_qsl

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from finops_api.errors import AskedTwice, NotAddable
from finops_warehouse import algebra
from finops_warehouse.algebra import check_cell
from finops_warehouse.conditions import MAX_VALUES
from finops_warehouse.row_scope import RowScope
from finops_warehouse.semantic import DIMENSIONS

BEGINS_WITH_A_DAY = re.compile(r"\d{4}-\d\d-\d\d")

Member = Annotated[str, Field(max_length=500)]
"""An id or a name; nothing Google Cloud names is longer."""


def _is_written_as_a_day(given: object) -> object:
    # pydantic takes numbers for seconds since 1970: whoever mistypes a year would be answered about another time.
    if isinstance(given, int | float) or (isinstance(given, str) and not BEGINS_WITH_A_DAY.match(given)):
        raise ValueError("write a day as YYYY-MM-DD, and a moment as YYYY-MM-DDThh:mm:ss with its zone")
    return given


def _in_utc(moment: datetime) -> datetime:
    # PostgreSQL knows no zone beyond 16 hours, Python does up to 24.
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("the calendar has no such moment in UTC") from None


Day = Annotated[date, BeforeValidator(_is_written_as_a_day)]
Moment = Annotated[AwareDatetime, BeforeValidator(_is_written_as_a_day), AfterValidator(_in_utc)]
"""As somebody asks about it; both are written as ISO 8601 has them, and in no other way."""


class Question(BaseModel):
    """Whatever is asked: no parameter that is not known, and no text that Postgres cannot hold."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="after")
    def _has_no_nul(self) -> Self:
        if any("\0" in text for value in self.__dict__.values() if value for text in _texts(value)):
            raise ValueError("a value holds a NUL character, which no name can")
        return self


CustomMember = Annotated[str, Field(max_length=600, pattern=r"^[a-z][a-z0-9_]{0,44}:")]


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
    custom: list[CustomMember] = Field(
        [],
        max_length=MAX_VALUES,
        description="Members of custom dimensions: `team:shop`, or `team_rule:default` for who assigned them. Of one "
        "dimension any of them, of several dimensions all of them.",
    )

    def filters(self) -> dict[str, list[str]]:
        """The members asked for, by dimension, built-in or custom."""
        return {**self.built_in_filters(), **self.custom_filters()}

    def built_in_filters(self) -> dict[str, list[str]]:
        """The members asked for of built-in dimensions."""
        return {name: values for name in DIMENSIONS if (values := getattr(self, name))}

    def custom_filters(self) -> dict[str, list[str]]:
        """The members asked for of custom dimensions."""
        found: dict[str, list[str]] = {}
        for asked in self.custom:
            name, _, member = asked.partition(":")
            found.setdefault(name, []).append(member)
        return found


Asked = TypeVar("Asked", bound=BaseModel)


def within(question: Asked, scope: RowScope) -> Asked:
    """The question about the accounts and projects of a scope, where it names none itself.

    Not what keeps others' rows back, which is PostgreSQL: it chooses tables that tell projects apart, and answers say
    what they are about.
    """
    if not scope.is_restricted:
        return question
    named = {"billing_account": scope.billing_accounts, "project": scope.projects}
    fields = type(question).model_fields
    meant = {
        name: list(members)
        for name, members in named.items()
        if members is not None and name in fields and not getattr(question, name)
    }
    return question.model_copy(update=meant)


def refuse_what_does_not_add_up(measure: str, members: dict[str, list[str]]) -> None:
    """Raises `NotAddable` with the reason when the measure may not be added up over charges of these members."""
    try:
        check_cell(measure, members)
    except algebra.NotAddable as reason:
        raise NotAddable(str(reason)) from None


def _texts(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [one for one in values if isinstance(one, str)]


def each_once(question: type[BaseModel]) -> Any:  # noqa: ANN401 -- as FastAPI's own Depends
    """A dependency that refuses what can only be meant once: of two starts the last would count, unseen."""

    # A dependency that is no coroutine is given to a thread, which takes longer than the check.
    async def check(request: Request) -> None:
        _refuse_twice(question, [name for name, _ in request.query_params.multi_items()])

    checked: Callable[[Request], Awaitable[None]] = check
    return Depends(checked)


def _refuse_twice(question: type[BaseModel], names: Sequence[str]) -> None:
    if len(set(names)) == len(names):
        return
    once = question.model_fields.keys() - _lists_of(question)
    twice = sorted(name for name, times in Counter(names).items() if times > 1 and name in once)
    if twice:
        raise AskedTwice(f"Given more than once: {', '.join(twice)}. Give it once.")


@cache
def _lists_of(question: type[BaseModel]) -> frozenset[str]:
    """The parameters that may be given several times."""
    return frozenset(name for name, field in question.model_fields.items() if get_origin(field.annotation) is list)


def asked_in(request: Request, question: type[Asked]) -> Asked:
    """The question in a URL, as FastAPI reads it. Raises `AskedTwice`, and what FastAPI raises for bad parameters.

    Whoever asks the same again is given the same object: nobody changes one.
    """
    text: bytes = request.scope["query_string"]
    read: Callable[[type[Asked], bytes], Asked] = _held if len(text) <= LONGEST_HELD else _read
    return read(question, text)


URLS_HELD = 1000
LONGEST_HELD = 2000
"""Bytes. With the number of them it bounds what strangers can have us hold."""


def _read(question: type[Asked], text: bytes) -> Asked:
    pairs = parse_qsl(text.decode("latin-1"), keep_blank_values=True)
    _refuse_twice(question, [name for name, _ in pairs])
    lists = _lists_of(question)
    # Most lists are not given: pydantic believes an empty one sooner than it copies a default.
    given: dict[str, Any] = {name: [] for name in lists if not question.model_fields[name].default}
    for name, value in pairs:
        if name in lists:
            given.setdefault(name, []).append(value)
        else:
            given[name] = value
    try:
        return question.model_validate(given)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise RequestValidationError([{**one, "loc": ("query", *one["loc"])} for one in found]) from None


_held = lru_cache(URLS_HELD)(_read)
