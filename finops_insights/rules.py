"""The rules engine: plain sentences for every subject, the same for the same facts, without asking anybody.

It writes when no language model is set up, and when a model's text is refused. Its texts go through the same checker:
words follow the direction of the fact they stand beside, and every figure, name and day is a token.
"""

from collections.abc import Mapping
from decimal import Decimal

from finops_insights.claims import Template
from finops_insights.facts import Fact, FromCell
from finops_insights.rendering import token
from finops_insights.subjects import Subject

ENGINE = "rules"
_CAUSE = {"project": "project", "service": "service", "sku": "SKU", "region": "region"}
_ABOUT_THE_SAME = 1
_ALL = Decimal("99.5")
"""In percent."""


def write(subject: Subject) -> Template:
    """What the rules say about a subject."""
    match subject.subject, subject.period:
        case "anomaly", _:
            return _anomaly(subject)
        case _, "day":
            return _day(subject)
        case _:
            return _month(subject)


# -- the spend of a currency up to a day


def _day(subject: Subject) -> Template:
    facts = subject.facts
    compared = "f_change" in facts
    headline = "{{f_month}}: {{f_spend}} spent so far"
    if compared and _is_flat(facts, "f_change"):
        headline += ", about as much as on the same days of the month before"
    elif compared:
        than = _than(facts["f_change"])
        headline += f", {_much(facts, 'f_change')} {than} on the same days of the month before"
    sentences = [
        _spent_so_far(subject),
        *_movers(facts, "service", "Of the services, "),
        *_movers(facts, "project", "Of the projects, "),
        *_outlook(subject),
        _unusual(subject),
        *_savings(facts),
    ]
    return Template(headline=headline, body=" ".join(sentences))


def _spent_so_far(subject: Subject) -> str:
    facts = subject.facts
    whole = facts["f_spend"]
    assert isinstance(whole.source, FromCell)
    is_one_day = whole.source.cell.last_day == whole.source.cell.start
    said = "{{f_spend}} was spent " + ("on {{f_day}}" if is_one_day else "from {{f_first_day}} to {{f_day}}")
    if "f_change" not in facts:
        return f"{said}; there are too few earlier days to compare that with."
    then = "on {{f_before_first}}" if is_one_day else "from {{f_before_first}} to {{f_before_last}}"
    if facts["f_change"].direction is None:
        return f"{said}, as much as {then}."
    return f"{said}, {{{{f_change}}}} {_than(facts['f_change'])} the {{{{f_before}}}} {then}."


def _movers(facts: Mapping[str, Fact], kind: str, opening: str) -> list[str]:
    names = [f"f_{kind}_{n}" for n in range(1, len(facts)) if f"f_{kind}_{n}" in facts]
    sentences = []
    for place, name in enumerate(names):
        fact = facts[f"{name}_change"]
        verb = "rose" if fact.direction == "up" else "fell"
        most = " most," if place == 0 and len(names) > 1 else ""
        first = opening if place == 0 else ""
        sentences.append(f"{first}{token(name)} {verb}{most} by {{{{{name}_change}}}} to {{{{{name}_now}}}}.")
    return sentences


def _outlook(subject: Subject) -> list[str]:
    facts = subject.facts
    if "f_forecast" not in facts:
        return []
    said = ["{{f_forecast_month}} is expected to come to {{f_forecast}}."]
    said.append("In {{f_forecast_certainty}} of cases it ends between {{f_forecast_low}} and {{f_forecast_high}}.")
    change = facts.get("f_forecast_change")
    if change is not None:
        than = "about as much as" if _is_flat(facts, "f_forecast") else f"{{{{f_forecast_change}}}} {_than(change)}"
        said.append(f"That would be {than} the {{{{f_last_month_spend}}}} of {{{{f_last_month}}}}.")
    if "forecast" in subject.notes:
        said.append("The forecast of {{f_forecast}} rests on little history.")
    return said


def _unusual(subject: Subject) -> str:
    found = subject.facts.get("f_anomalies")
    if found is None:
        return "{{f_day}} looked as usual."
    return f"On {{{{f_day}}}}, {{{{f_anomalies}}}} {'was' if found.value == 1 else 'were'} found."


def _savings(facts: Mapping[str, Fact]) -> list[str]:
    if "f_savings" not in facts:
        return []
    if "f_saving_amount" not in facts:
        return ["About {{f_savings}} could be saved, by this: “{{f_saving}}”."]
    return ["About {{f_savings}} could be saved; the largest part is “{{f_saving}}”, with {{f_saving_amount}}."]


# -- an invoice month


def _month(subject: Subject) -> Template:
    facts = subject.facts
    if subject.notes["state"] == "the month is not over":
        headline = "{{f_month}}: {{f_total}} so far"
        opening = "The charges on the invoices of {{f_month}} come to {{f_total}} so far; the month is still open."
        return Template(headline=headline, body=opening)
    if "coverage" in subject.notes:
        headline = "{{f_month}}: {{f_total}} since {{f_first_day}}"
        opening = (
            "Charges before {{f_first_day}} are not here. Those since then on the invoices of {{f_month}} come to "
        )
        return Template(headline=headline, body=opening + "{{f_total}}.")
    headline = "{{f_month}} came to {{f_total}}"
    opening = "The charges on the invoices of {{f_month}} come to {{f_total}}"
    change = facts.get("f_change")
    if change is None:
        opening += "; the month before is not complete here to compare that with."
    elif change.direction is None:
        opening += ", as much as those of {{f_month_before}}."
    else:
        much = "about as much as" if _is_flat(facts, "f_change") else f"{_much(facts, 'f_change')} {_than(change)}"
        headline += f", {much} {{{{f_month_before}}}}"
        opening += f", {{{{f_change}}}} {_than(change)} the {{{{f_before}}}} of {{{{f_month_before}}}}."
    sentences = [
        opening,
        *_movers(facts, "service", "Of the services, "),
        *_movers(facts, "project", "Of the projects, "),
        *_invoice(subject),
    ]
    check = None
    if subject.notes["invoice"] == "it differs":
        check = "Which charges the invoices of {{f_month}} hold that the export does not, or the other way round."
    return Template(headline=headline, body=" ".join(sentences), check=check)


def _invoice(subject: Subject) -> list[str]:
    match subject.notes["invoice"]:
        case "it equals the charges":
            return ["That equals the invoices, {{f_invoice}}, to the cent."]
        case "it differs":
            return ["The invoices say {{f_invoice}}, which differs by {{f_residual}}."]
        case _:
            return ["The invoices of {{f_month}} were not handed in to compare that with."]


# -- an anomaly


def _anomaly(subject: Subject) -> Template:
    facts = subject.facts
    when = "on {{f_start}}" if "f_last" not in facts else "from {{f_start}} to {{f_last}}"
    who = _who(facts)
    excess = facts["f_excess"]
    if excess.direction is None:
        headline = f"{who} was unusual {when}"
        opening = "It cost {{f_actual}}, and {{f_expected}} was expected."
    else:
        headline = f"{who} cost {{{{f_excess}}}} {_than(excess)} expected {when}"
        percent = facts.get("f_excess_percent")
        part = ""
        if percent is not None and percent.direction is not None:
            part = f", {{{{f_excess_percent}}}} {_than(excess).split()[0]}"
        opening = f"It cost {{{{f_actual}}}} where {{{{f_expected}}}} was expected{part}."
    sentences = [opening, *_duration(subject), *_why(subject), *_state(subject)]
    return Template(headline=headline, body=" ".join(sentences), check=_what_to_check(subject))


def _who(facts: Mapping[str, Fact]) -> str:
    return "{{f_service}} in {{f_project}}" if "f_service" in facts else "Billing account {{f_account}}"


def _duration(subject: Subject) -> list[str]:
    return ["It was unusual on {{f_days}}."] if "f_days" in subject.facts else []


def _why(subject: Subject) -> list[str]:
    if "made of" in subject.notes:
        return ["The {{f_actual}} are made of anomalies of services in projects, which have texts of their own."]
    causes = [name for name in subject.entities if name.startswith("f_cause_")]
    if not causes and subject.facts["f_excess"].direction is None:
        return []  # days that went both ways and come to nothing together
    if not causes:
        word = _than(subject.facts["f_excess"]).split()[0]
        return [f"The {{{{f_excess}}}} {word} is spread: no part of the cost explains most of it."]
    sentences = []
    for place, name in enumerate(causes):
        share = subject.facts[f"{name}_share"].value
        kind = _CAUSE[subject.entities[name].kind]
        within = "Within it, the" if place else "The"
        if share is not None and share >= _ALL:
            sentences.append(f"{within} {kind} {token(name)} explains all of the difference.")
        else:
            sentences.append(f"{within} {kind} {token(name)} explains {{{{{name}_share}}}} of the difference.")
    return sentences


def _state(subject: Subject) -> list[str]:
    match subject.notes["state"]:
        case "it ended":
            if "f_now" in subject.facts:
                return ["It is over: on {{f_day}} the cost was {{f_now}}, as usual."]
            return [f"It was over after {token(_last(subject.facts))}."]
        case "it went on":
            return [
                f"It was still going on at the end of {token('f_last' if 'f_last' in subject.facts else 'f_start')}."
            ]
        case _:
            return ["It has stayed: on {{f_day}} the cost was {{f_now}}, and that counts as usual from now on."]


def _last(facts: Mapping[str, Fact]) -> str:
    return "f_last" if "f_last" in facts else "f_start"


def _what_to_check(subject: Subject) -> str:
    """Where to look first, by what kind of change it is."""
    facts = subject.facts
    rose = facts["f_excess"].direction != "down"
    causes = {subject.entities[name].kind: name for name in subject.entities if name.startswith("f_cause_")}
    if "f_account" in facts:
        if "project" in causes:
            return f"What was changed in {token(causes['project'])} on {{{{f_start}}}}, and by whom."
        if rose:
            return "Whether a price, a discount or a credit that all projects share was changed on {{f_start}}."
        return "Whether a credit was booked on {{f_start}}, or charges of the day are late."
    if rose and facts["f_expected"].value == 0:
        return "Whether {{f_service}} was switched on in {{f_project}} on purpose, and who needs it."
    if not rose and facts["f_actual"].value == 0:
        return "Whether {{f_service}} was switched off in {{f_project}} on purpose, or its charges are late."
    if not rose:
        return "Whether something in {{f_project}} stopped on {{f_start}} that should run, or a credit was booked."
    if "sku" in causes:
        where = f" in {token(causes['region'])}" if "region" in causes else ""
        runs = f"What {{{{f_project}}}} runs that is billed as {token(causes['sku'])}{where}"
        return f"{runs} since {{{{f_start}}}}, and whether it is still needed."
    if "region" in causes:
        return f"Whether {{{{f_project}}}} was meant to run in {token(causes['region'])} on {{{{f_start}}}}."
    return "What was deployed or scheduled in {{f_project}} on {{f_start}}."


# -- words


def _than(fact: Fact) -> str:
    """The words that go the way of the fact."""
    return "more than" if fact.direction == "up" else "less than"


def _much(facts: Mapping[str, Fact], change: str) -> str:
    """The change in percent where there is one, as an amount otherwise."""
    percent = f"{change}_percent"
    return token(percent if percent in facts else change)


def _is_flat(facts: Mapping[str, Fact], name: str) -> bool:
    """Whether a change is too small to have a direction worth a headline."""
    percent = facts.get("f_change_percent" if name == "f_change" else f"{name}_change")
    if percent is None or percent.value is None:
        return name in facts and facts[name].direction is None
    return abs(percent.value) < _ABOUT_THE_SAME
