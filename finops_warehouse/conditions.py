"""Conditions on charges, combined in any way: what the body of a question can say and a URL cannot."""

from collections.abc import Callable, Iterator
from typing import Annotated, Literal

from psycopg import sql
from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag

from finops_warehouse.members import member_filter, member_key
from finops_warehouse.semantic import DIMENSIONS, dimension

MAX_VALUES = 100
MAX_CONDITIONS = 50
MAX_DEPTH = 6


def _has_no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("a value holds a NUL character, which no name can")
    return text


CustomName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,44}$")]
"""A dimension of the user's own; whether there is one of that name, the rules in force say."""

Text = Annotated[str, Field(max_length=500), AfterValidator(_has_no_nul)]

Put = Callable[[list[str]], sql.Composable]
"""How the texts that are compared with get into a statement: as a placeholder, or as a literal."""

Operator = Literal["in", "contains", "starts_with"]
Parts = Annotated[list["Condition"], Field(min_length=1, max_length=MAX_CONDITIONS)]


class _Combined(BaseModel):
    """What every kind of condition can be asked."""

    model_config = ConfigDict(extra="forbid", serialize_by_alias=True)

    def parts(self) -> "list[Condition]":
        """The conditions it is made of."""
        raise NotImplementedError

    def dimensions(self) -> set[str]:
        """Every dimension it asks for."""
        return {name for part in self.parts() for name in part.dimensions()}

    def members(self) -> dict[str, list[str]]:
        """The members of built-in dimensions that charges may be of: what decides whether measures add up."""
        found: dict[str, list[str]] = {}
        for part in self.parts():
            for name, members in part.members().items():
                found.setdefault(name, []).extend(members)
        return found

    def count(self) -> int:
        """How many conditions it is made of."""
        return sum(part.count() for part in self.parts())

    def depth(self) -> int:
        """How deep they lie in each other."""
        return 1 + max(part.depth() for part in self.parts())

    def refuse_too_much(self) -> None:
        """Raises `ValueError` for more conditions than one question holds."""
        if self.depth() > MAX_DEPTH:
            raise ValueError(f"conditions lie {self.depth()} deep in each other; {MAX_DEPTH} is the most")
        if self.count() > MAX_CONDITIONS:
            raise ValueError(f"{self.count()} conditions; {MAX_CONDITIONS} is the most")

    def as_sql(self, put: Put) -> sql.Composed:
        """The condition, true or false for every row."""
        raise NotImplementedError


class Is(_Combined):
    """Whether the member of a dimension is one of these, by id or name; `(unattributed)` where there is none."""

    dimension: Literal[tuple(DIMENSIONS)] | CustomName  # type: ignore[valid-type]
    operator: Operator = Field("in", description="Text is compared without regard to upper and lower case.")
    values: list[Text] = Field(min_length=1, max_length=MAX_VALUES)

    def parts(self) -> "list[Condition]":
        """None: it is where conditions end."""
        return []

    def dimensions(self) -> set[str]:
        """The one it asks for."""
        return {self.dimension}

    def members(self) -> dict[str, list[str]]:
        """Those named in full."""
        return {self.dimension: list(self.values)} if self.operator == "in" else {}

    def count(self) -> int:
        """One."""
        return 1

    def depth(self) -> int:
        """One."""
        return 1

    def as_sql(self, put: Put) -> sql.Composed:
        """A row without a name is not of any name: without `is true` its NULL would also be lost to `not`."""
        if self.operator == "in":
            return sql.SQL("({}) is true").format(member_filter(self.dimension, put(self.values)))
        before = "%" if self.operator == "contains" else ""
        patterns = put([f"{before}{_escaped(value)}%" for value in self.values])
        of = dimension(self.dimension)
        texts: list[sql.Composable] = [member_key(of)]
        if of.name_column:
            texts.append(sql.Identifier(of.name_column))
        matches = [sql.SQL("{} ilike any({})").format(text, patterns) for text in texts]
        return sql.SQL("({}) is true").format(sql.SQL(" or ").join(matches))


class And(_Combined):
    """All of these."""

    all_of: Parts = Field(alias="and")

    def parts(self) -> "list[Condition]":
        """Those that all have to hold."""
        return self.all_of

    def as_sql(self, put: Put) -> sql.Composed:
        """All of them."""
        return sql.SQL("({})").format(sql.SQL(" and ").join(_each(self, put)))


class Or(_Combined):
    """Any of these."""

    any_of: Parts = Field(alias="or")

    def parts(self) -> "list[Condition]":
        """Those of which one has to hold."""
        return self.any_of

    def as_sql(self, put: Put) -> sql.Composed:
        """Any of them."""
        return sql.SQL("({})").format(sql.SQL(" or ").join(_each(self, put)))


class Not(_Combined):
    """Whatever is not this."""

    none_of: "Condition" = Field(alias="not")

    def parts(self) -> "list[Condition]":
        """The one that must not hold."""
        return [self.none_of]

    def members(self) -> dict[str, list[str]]:
        """None: what is left out says nothing of what is added up."""
        return {}

    def as_sql(self, put: Put) -> sql.Composed:
        """The opposite."""
        return sql.SQL("not ({})").format(self.none_of.as_sql(put))


def _each(of: _Combined, put: Put) -> Iterator[sql.Composed]:
    for part in of.parts():
        yield part.as_sql(put)


def _escaped(text: str) -> str:
    """Text in which the wildcards of LIKE stand for themselves."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _kind(given: object) -> str:
    names = given if isinstance(given, dict) else getattr(type(given), "model_fields", {})
    return next((kind for kind, name in _KINDS.items() if kind in names or name in names), "is")


_KINDS = {"and": "all_of", "or": "any_of", "not": "none_of"}

Condition = Annotated[
    Annotated[And, Tag("and")] | Annotated[Or, Tag("or")] | Annotated[Not, Tag("not")] | Annotated[Is, Tag("is")],
    Discriminator(_kind),
]
"""One condition, or conditions combined; told apart by `and`, `or` and `not`."""

for _model in (And, Or, Not):
    _model.model_rebuild()
