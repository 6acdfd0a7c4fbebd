"""The file of rules a user writes: custom dimensions, and which costs are shared and how they are split.

A file is taken as a whole or refused as a whole, with the line and the reason. What it says is then data
(`Rules`); `assignment.py` makes SQL of it.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from finops_warehouse.errors import BadRules
from finops_warehouse.semantic import (
    COST_BASES,
    DIMENSIONS,
    MEASURES,
    RULE_SUFFIX,
    UNATTRIBUTED,
    Dimension,
    dimension,
)
from finops_warehouse.settings import Settings

NAME = r"^[a-z][a-z0-9_]{0,39}$"
NOT_SPLIT = "(not split)"
"""Who carries a shared cost on a day on which its rule finds nobody to split it over."""

BY_DEFAULT = "default"
"""The rule that assigned a charge for which no source has a value."""

_TAKEN = {"period", "usage_day", "month", "start", "end", "estimated", "others", "billing_currency"}
_ORIGINS = ("label", "project_label", "tag", "folder", "project", "dimension")

Text = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00]*$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Part):
    """Where a value may come from, and what is made of it. Exactly one of the origins is given.

    The value is trimmed; an empty one counts as none. `regex` keeps what its first group catches, or gives `value`
    where it matches. `map` is the list of what passes, with what it becomes. Without a value the next source is asked.
    """

    label: Text | None = None
    """Key of a label of the charge."""
    project_label: Text | None = None
    """Key of a label of the project."""
    tag: Text | None = None
    """Key of a tag."""
    namespace: Text | None = None
    """Of the tag; any when left out."""
    inherited: Literal["also", "only", "never"] = "also"
    """Whether tags count that the charge has from its project, folder or organisation."""
    folder: Literal["top", "nearest"] | None = None
    """Name of a folder above the project at the time of use: the one below the organisation, or the project's own."""
    project: Literal["id", "name"] | None = None
    dimension: Text | None = None
    """What an earlier dimension of the file found, without its default."""
    regex: Text | None = None
    value: Text | None = None
    map: dict[Text, Text] | None = None

    @model_validator(mode="after")
    def _can_be_read(self) -> Self:
        given = [name for name in _ORIGINS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"a source has one origin, of {', '.join(_ORIGINS)}; here: {', '.join(given) or 'none'}")
        if self.tag is None and (self.namespace is not None or self.inherited != "also"):
            raise ValueError("namespace and inherited belong to a tag")
        if self.regex is None and self.value is not None:
            raise ValueError("value belongs to a regex: what a charge gets that it matches")
        if self.regex is not None:
            try:
                groups = re.compile(self.regex).groups
            except re.error as error:
                raise ValueError(f"regex is none: {error}") from None
            if groups == 0 and self.value is None:
                raise ValueError("regex has no group (…) to catch a value, and no value is given")
        if self.value is not None and self.map is not None:
            raise ValueError("value is a member already; a map has nothing to make of it")
        if self.map is not None and not self.map:
            raise ValueError("map is empty, so nothing passes")
        return self

    @property
    def origin(self) -> str:
        """Which kind of place the value comes from."""
        return next(name for name in _ORIGINS if getattr(self, name) is not None)

    @property
    def rule(self) -> str:
        """What the source is called where a charge says who assigned it."""
        said = f"{self.origin.replace('_', ' ')} {getattr(self, self.origin)}"
        if self.tag is not None:
            how = {"also": "", "only": ", inherited", "never": ", its own"}[self.inherited]
            said = f"tag {f'{self.namespace}/' if self.namespace else ''}{self.tag}{how}"
        if self.regex is not None:
            said = f"{said}, regex {self.regex}"
        return f"{said}, map" if self.map else said


class CustomDimension(_Part):
    """A dimension the user made: the first source that has a value assigns a charge its member."""

    name: Annotated[str, StringConstraints(pattern=NAME)]
    description: Text
    sources: tuple[Source, ...] = Field(min_length=1, max_length=50)
    case: Literal["lower", "upper", "keep"] = "lower"
    """How values are written: labels of one team arrive as `Shop` and `shop`."""
    default: Text = UNATTRIBUTED
    """The member of charges no source has a value for."""

    @model_validator(mode="after")
    def _is_not_taken(self) -> Self:
        if self.name in DIMENSIONS:
            raise ValueError(f"{self.name} is a built-in dimension; take another name")
        ends = self.name.endswith((RULE_SUFFIX, "_name")) or self.name.startswith("previous_")
        if self.name in MEASURES or self.name in _TAKEN or ends:
            raise ValueError(f"{self.name} is a word of the answers themselves; take another name")
        return self


class SharedCost(_Part):
    """Costs that several members of a dimension carry together, and what each of them carries."""

    name: Annotated[str, StringConstraints(pattern=NAME)]
    description: Text
    split_over: str
    """The custom dimension whose members carry the costs."""
    where: dict[str, tuple[Text, ...]] = Field(min_length=1)
    """Members by dimension, built-in or custom: a charge is shared that is of one of them in each."""
    how: Literal["even", "proportional", "fixed"]
    by: Literal["billed_cost", "effective_cost", "contracted_cost", "list_cost", "cost"] | None = None
    """proportional: the measure of the members' own costs of that usage day, in that currency."""
    members: tuple[Text, ...] = ()
    """even, proportional: only these. Left out: all that have costs of their own that day, but not the default."""
    shares: dict[Text, Decimal] = {}
    """fixed: percentages by member."""

    @model_validator(mode="after")
    def _can_be_split(self) -> Self:
        if any(not members for members in self.where.values()):
            raise ValueError("where names a dimension without a member")
        if (self.how == "proportional") != (self.by is not None):
            raise ValueError(f"by names the measure of a proportional split, one of {', '.join(COST_BASES)}")
        if (self.how == "fixed") != bool(self.shares):
            raise ValueError("shares gives the percentages of a fixed split")
        if self.how == "fixed" and self.members:
            raise ValueError("members belongs to even and proportional; a fixed split names them in shares")
        if any(not share.is_finite() or share <= 0 for share in self.shares.values()):
            raise ValueError("a share is a percentage above 0")
        if self.shares and sum(self.shares.values()) != 100:
            raise ValueError(f"the shares add up to {sum(self.shares.values())} and not to 100")
        return self


class Rules(_Part):
    """What a file says."""

    dimensions: tuple[CustomDimension, ...] = Field(default=(), max_length=20)
    shared_costs: tuple[SharedCost, ...] = Field(default=(), max_length=50)

    @property
    def by_name(self) -> dict[str, CustomDimension]:
        """The dimensions by their names."""
        return {custom.name: custom for custom in self.dimensions}

    @property
    def hash(self) -> str:
        """The same for files that say the same, however they are written."""
        said = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()

    def semantic(self) -> dict[str, Dimension]:
        """The dimensions as they are grouped and filtered by, each with the one of the rules that assigned it."""
        found: dict[str, Dimension] = {}
        for custom in self.dimensions:
            found[custom.name] = replace(dimension(custom.name), description=custom.description)
            found[f"{custom.name}{RULE_SUFFIX}"] = dimension(f"{custom.name}{RULE_SUFFIX}")
        return found


def default_rules() -> Rules:
    """The rules while DIMENSIONS_FILE is unset."""
    shipped = files("finops_warehouse") / "dimensions.yaml"
    return rules_from(shipped.read_text(encoding="utf-8"), "dimensions.yaml")


def rules_of(settings: Settings) -> Rules:
    """The rules the settings mean. Raises as `load_rules` does."""
    return default_rules() if settings.dimensions_file is None else load_rules(settings.dimensions_file)


def load_rules(path: Path) -> Rules:
    """The rules in a file. Raises `BadRules` naming the file, the line and the reason."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadRules(f"{path}: cannot be read ({error.strerror}). DIMENSIONS_FILE names the file of rules.") from None
    except UnicodeDecodeError:
        raise BadRules(f"{path}: is not UTF-8 text.") from None
    return rules_from(text, str(path))


def rules_from(text: str, name: str) -> Rules:
    """The rules that a text says; `name` is the file's, for messages. Raises as `load_rules` does."""
    try:
        for event in yaml.parse(text, yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):  # ten lines of them can mean a billion, or themselves
                line = event.start_mark.line + 1 if event.start_mark else 1
                raise BadRules(f"{name}, line {line}: *{event.anchor} refers to another place; write it out.")
        node = yaml.compose(text, yaml.SafeLoader)
        document = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise BadRules(f"{name}, line {line}: is no YAML: {error.problem}.") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: of a date such as 2026-13-01
        raise BadRules(f"{name}: is no YAML: {' '.join(str(error).split())}.") from None
    lines = dict(_lines(node, (), name)) if node else {}
    try:
        rules = Rules.model_validate(document if document is not None else {})
    except ValidationError as refused:
        found = refused.errors(include_url=False, include_input=False)
        said = [
            f"{name}, line {_line(lines, error['loc'])}: {_reason(error['loc'], error['msg'])}."
            for error in found
            # A list whose entries are all refused would be refused again, for being empty.
            if not (error["type"] == "too_short" and any(_is_within(other["loc"], error["loc"]) for other in found))
        ]
        raise BadRules("\n".join(said)) from None
    wrong = [f"{name}, line {_line(lines, where)}: {reason}." for where, reason in _contradictions(rules)]
    if wrong:
        raise BadRules("\n".join(wrong))
    return rules


Where = tuple[int | str, ...]


def _contradictions(rules: Rules) -> Iterator[tuple[Where, str]]:
    """What each part may say and all of them together may not."""
    seen: set[str] = set()
    for number, custom in enumerate(rules.dimensions):
        if custom.name in seen:
            yield ("dimensions", number, "name"), f"there are two dimensions {custom.name}"
        for place, source in enumerate(custom.sources):
            if source.dimension is not None and source.dimension not in seen:
                earlier = ", ".join(sorted(seen)) or "none"
                said = f"{source.dimension} is no earlier dimension of the file; those are: {earlier}"
                yield ("dimensions", number, "sources", place, "dimension"), said
        seen.add(custom.name)
    named: set[str] = set()
    for number, shared in enumerate(rules.shared_costs):
        if shared.name in named:
            yield ("shared_costs", number, "name"), f"there are two shared costs {shared.name}"
        named.add(shared.name)
        if shared.split_over not in seen:
            there_are = ", ".join(sorted(seen)) or "none"
            said = f"{shared.split_over} is no dimension of the file; those are: {there_are}"
            yield ("shared_costs", number, "split_over"), said
        for key in shared.where:
            if key not in seen and key not in DIMENSIONS:
                there_are = ", ".join([*DIMENSIONS, *sorted(seen)])
                yield ("shared_costs", number, "where", key), f"there is no dimension {key}; there are: {there_are}"


def _lines(node: yaml.Node, where: Where, name: str) -> Iterator[tuple[Where, int]]:
    """The line of everything in a document. Raises `BadRules` for a key that stands twice: YAML would take the last."""
    yield where, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                raise BadRules(f"{name}, line {key.start_mark.line + 1}: {key.value} stands twice.")
            seen.add(key.value)
            yield from _lines(value, (*where, key.value), name)
            yield (*where, key.value), key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            yield from _lines(item, (*where, number), name)


def _line(lines: Mapping[Where, int], where: Where) -> int:
    """The line of a place, or of the nearest thing around it."""
    place = tuple(part for part in where if part != "[key]")
    while place and place not in lines:
        place = place[:-1]
    return lines.get(place, 1)


def _is_within(where: Where, around: Where) -> bool:
    return len(where) > len(around) and where[: len(around)] == around


def _reason(where: Where, said: str) -> str:
    said = said.removeprefix("Value error, ")
    if said == "Extra inputs are not permitted":
        return f"{where[-1]} is not known here"
    names = [str(part) for part in where if isinstance(part, str) and part != "[key]"]
    return f"{names[-1]}: {said}" if names else said
