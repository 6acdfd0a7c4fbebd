"""The rules engine: plain sentences about any day, month and anomaly, under the checker every text is under."""

import re
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from helpers.subjects import HOSTILE, days, months, recall_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finops_insights import rules
from finops_insights.claims import ORDINARY_WORDS, check_template
from finops_insights.facts import Derived, FromCell, Stored, stale
from finops_insights.rendering import TOKEN, render, tokens
from finops_insights.subjects import (
    NAME_LIMIT,
    AnomalyDay,
    DayRows,
    InvoicedRow,
    InvoiceMonth,
    MonthEnd,
    MonthRows,
    Saving,
    Spent,
    Subject,
    of_day,
    of_month,
    shown,
)

ANY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
DAY = date(2026, 11, 20)
subjects = st.one_of(days().map(of_day), months().map(of_month))


@ANY
@given(subjects)
def test_every_text_of_the_rules_passes_the_checker(found: list[Subject]) -> None:
    """Whatever the amounts, and whatever people call their projects."""
    for subject in found:
        assert check_template(rules.write(subject), subject.facts, subject.names) == []


@ANY
@given(subjects)
def test_texts_use_ordinary_words_alone(found: list[Subject]) -> None:
    """Which is why a project may be called like any of them without a text being refused for it."""
    for subject in found:
        said = " ".join(rules.write(subject).parts)
        assert set(re.findall(r"[a-z]+", TOKEN.sub(" ", said).lower())) <= ORDINARY_WORDS


@ANY
@given(subjects)
def test_facts_hold_and_each_knows_where_it_comes_from(found: list[Subject]) -> None:
    """Every figure is a cell, a stored column or arithmetic; what it is made of is among the facts; and it is a few."""
    for subject in found:
        facts = dict(subject.facts)
        assert len(facts) <= 45
        assert stale(facts, recall_of(facts)) == []
        for fact in facts.values():
            match fact.source:
                case FromCell(cell=cell):
                    assert cell.billing_currency == subject.billing_currency
                case Derived(of=of):
                    assert set(of) <= set(facts)
                case Stored():
                    assert fact.value is not None
                case _:
                    assert fact.unit in ("name", "day", "month", "days", "percent")
            assert (fact.value is None) == (fact.unit in ("name", "day", "month"))


@ANY
@given(subjects)
def test_a_label_never_holds_a_name(found: list[Subject]) -> None:
    """Labels are sent to models."""
    for subject in found:
        for fact in subject.facts.values():
            assert re.fullmatch(r"[A-Za-z ,']+", fact.label)


@ANY
@given(days())
def test_the_same_rows_in_another_order_are_the_same_texts(rows: DayRows) -> None:
    """Or every rebuild would show readers another text."""
    turned = replace(
        rows,
        spent=rows.spent[::-1], anomalies=rows.anomalies[::-1], forecasts=rows.forecasts, savings=rows.savings[::-1],
    )  # fmt: skip

    assert [rules.write(s) for s in of_day(rows)] == [rules.write(s) for s in of_day(turned)]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_shown_on_one_line_without_anything_hidden(name: str) -> None:
    """It is somebody's name for a project, and is shown; what it does to the text around it is taken away."""
    said = shown(name)

    assert len(said) <= NAME_LIMIT
    assert said == " ".join(said.split())
    assert said.isprintable()


# -- what they say


def spent(service: str, now: str, before: str, project: str = "shop", currency: str = "USD") -> Spent:
    return Spent(currency, project, project, service, service, Decimal(now), Decimal(before), Decimal(before))


def said_of(subject: Subject) -> tuple[str, str, str | None]:
    template = rules.write(subject)
    assert check_template(template, subject.facts, subject.names) == []
    check = None if template.check is None else render(template.check, subject.facts)
    return render(template.headline, subject.facts), render(template.body, subject.facts), check


A_DAY = DayRows(
    day=DAY,
    first_day=date(2026, 1, 1),
    spent=[spent("BigQuery", "500", "300"), spent("Cloud Run", "480.50", "600"), spent("Cloud SQL", "100", "100.20")],
    anomalies=[],
    forecasts=[MonthEnd("USD", date(2026, 11, 1), Decimal(1500), Decimal(1400), Decimal(1700), "ok")],
    savings=[Saving("r1", "USD", "Release addresses that nothing uses", Decimal(12))],
)


def test_a_day_is_told_in_plain_sentences() -> None:
    """What was spent against the same days before, what moved, how the month will end, what to do."""
    [subject] = of_day(A_DAY)

    headline, body, check = said_of(subject)

    assert headline == "November 2026: $1,081 spent so far, 8.0% more than on the same days of the month before"
    assert body == (
        "$1,081 was spent from 1 November to 20 November, $80 more than the $1,000 from 1 October to 20 October. "
        "Of the services, BigQuery rose most, by $200 to $500. Cloud Run fell by $120 to $481. "
        "Of the projects, shop rose by $80 to $1,081. "
        "November 2026 is expected to come to $1,500. In 80% of cases it ends between $1,400 and $1,700. "
        "That would be 50% more than the $1,000 of October 2026. "
        "20 November looked as usual. "
        "About $12 a month could be saved, by this: \u201cRelease addresses that nothing uses\u201d."
    )
    assert check is None


def test_a_fall_is_told_as_one() -> None:
    """The same figures the other way round."""
    turned = replace(A_DAY, spent=[replace(s, now=s.before, before=s.now) for s in A_DAY.spent])
    [subject] = of_day(turned)

    headline, body, _ = said_of(subject)

    assert headline == "November 2026: $1,000 spent so far, 7.4% less than on the same days of the month before"
    assert "$80 less than the $1,081" in body
    assert "BigQuery fell most, by $200 to $300. Cloud Run rose by $120 to $600." in body


def test_currencies_are_never_added() -> None:
    """Each has a text of its own."""
    mixed = replace(A_DAY, spent=[*A_DAY.spent, spent("BigQuery", "70", "70", currency="EUR")])

    eur, usd = of_day(mixed)

    assert (eur.billing_currency, usd.billing_currency) == ("EUR", "USD")
    assert said_of(eur)[0] == (
        "November 2026: \u20ac70 spent so far, about as much as on the same days of the month before"
    )
    assert said_of(usd) == said_of(of_day(A_DAY)[0])


def test_a_month_of_more_days_is_compared_with_the_whole_shorter_one() -> None:
    """The 30th of March has no like in February."""
    [subject] = of_day(replace(A_DAY, day=date(2026, 3, 30), forecasts=[]))

    assert "from 1 March to 30 March" in said_of(subject)[1]
    assert "from 1 February to 28 February" in said_of(subject)[1]


def test_what_is_not_there_is_not_compared() -> None:
    """Half a month of data must not read as a bill that has grown."""
    [subject] = of_day(replace(A_DAY, first_day=date(2026, 10, 5)))

    headline, body, _ = said_of(subject)

    assert headline == "November 2026: $1,081 spent so far"
    assert "there are too few earlier days to compare that with" in body
    assert "October" not in body


def anomaly(day: date, actual: str, expected: str, **other: object) -> AnomalyDay:
    row = AnomalyDay(
        usage_day=day, anomaly_id="a1", scope="project_service", billing_account_id="A", billing_currency="USD",
        sub_account_id="shop", sub_account_name="Shop", service_id="6F", service_name="Compute Engine",
        start_day=date(2026, 11, 18), direction="up", severity="high", actual_cost=Decimal(actual),
        expected_cost=Decimal(expected), event_excess_cost=Decimal(actual) - Decimal(expected), causes=[],
        explained_by=[],
    )  # fmt: skip
    return replace(row, **other)  # type: ignore[arg-type]


GPU = {"dimension": "sku", "member": "s", "name": "T4 GPU", "share_percent": "93.8"}
TWO_DAYS = [anomaly(date(2026, 11, 18), "300", "100"), anomaly(date(2026, 11, 19), "250", "100", causes=[GPU])]


def explained(*rows: AnomalyDay, now: str | None = None, day: date = DAY) -> Subject:
    ended = {} if now is None else {"a1": Decimal(now)}
    return of_day(replace(A_DAY, day=day, anomalies=rows, costs_of_ended=ended))[-1]


def test_an_anomaly_that_is_over_says_so() -> None:
    """The whole event: what, when, how much, why, and that it is over."""
    headline, body, check = said_of(explained(*TWO_DAYS, now="101"))

    assert headline == "Compute Engine in Shop cost $350 more than expected from 18 November to 19 November"
    assert body == (
        "It cost $550 where $200 was expected, 175% more. It was unusual on 2 days. "
        "The SKU T4 GPU explains 94% of the difference. It is over: on 20 November the cost was $101, as usual."
    )
    assert check == "What Shop runs that is billed as T4 GPU since 18 November, and whether it is still needed."


def test_an_anomaly_that_goes_on_says_so() -> None:
    """On the day itself nobody knows yet how it ends."""
    headline, body, _ = said_of(explained(*TWO_DAYS, anomaly(DAY, "200", "100")))

    assert headline == "Compute Engine in Shop cost $450 more than expected from 18 November to 20 November"
    assert body.endswith("It was still going on at the end of 20 November.")


def test_a_level_that_stays_is_not_called_over() -> None:
    """It is no anomaly any more, because it is usual now: that is not the same as being over."""
    _, body, _ = said_of(explained(*TWO_DAYS, now="260"))

    assert body.endswith("It has stayed: on 20 November the cost was $260, and that counts as usual from now on.")


def test_an_anomaly_downwards_asks_what_stopped() -> None:
    """A fall is a failure as often as a saving."""
    row = anomaly(DAY, "20", "100", direction="down", start_day=DAY)
    headline, body, check = said_of(explained(row))

    assert headline == "Compute Engine in Shop cost $80 less than expected on 20 November"
    assert "80% less" in body
    assert check == "Whether something in Shop stopped on 20 November that should run, or a credit was booked."


def test_gaps_in_an_event_are_not_added_to_it() -> None:
    """The quiet day between two unusual ones cost what it should."""
    rows = [anomaly(date(2026, 11, 16), "300", "100", start_day=date(2026, 11, 16))]
    rows += [replace(row, start_day=date(2026, 11, 16)) for row in TWO_DAYS]
    subject = explained(*rows, now="100")

    cells = [f.source.cell for f in subject.facts.values() if isinstance(f.source, FromCell) and f.id != "f_now"]
    assert [(c.start.day, c.end.day) for c in cells] == [(16, 17), (18, 20)]
    assert subject.facts["f_actual"].value == 850


def test_a_long_event_still_fits() -> None:
    """Its expected cost comes from what is stored of the event, and is the same."""
    first = date(2026, 11, 1)
    rows, total = [], Decimal(0)
    for n in range(20):
        total += 200
        rows.append(anomaly(first + timedelta(days=n), "300", "100", start_day=first, event_excess_cost=total))
    subject = explained(*rows)

    assert len(subject.facts) < 20
    assert subject.facts["f_expected"].value == 2000
    assert subject.facts["f_excess"].value == 4000


def a_month(**other: object) -> MonthRows:
    month = MonthRows(
        month=date(2026, 10, 1), is_over=True, first_day=date(2026, 1, 1),
        window=(date(2026, 9, 30), date(2026, 11, 1)), window_before=(date(2026, 9, 1), date(2026, 10, 1)),
        spent=[InvoicedRow("USD", "shop", "Shop", "bq", "BigQuery", Decimal("210.10"), Decimal("200"))],
        invoices=[InvoiceMonth("USD", Decimal("210.10"), Decimal("210.10"))],
    )  # fmt: skip
    return replace(month, **other)  # type: ignore[arg-type]


def test_a_month_that_equals_its_invoice_says_so() -> None:
    """The proof, in words."""
    [subject] = of_month(a_month())

    headline, body, check = said_of(subject)

    assert headline == "October 2026 came to $210, 5.1% more than September 2026"
    assert "That equals the invoices, $210.10, to the cent." in body
    assert check is None


def test_a_month_that_does_not_says_by_how_much() -> None:
    """And what to look for."""
    [subject] = of_month(a_month(invoices=[InvoiceMonth("USD", Decimal("210.10"), Decimal("212"))]))

    _, body, check = said_of(subject)

    assert "The invoices say $212.00, which differs by $1.90." in body
    assert check is not None


def test_a_change_of_almost_nothing_is_called_so() -> None:
    """0.0% less is no news, and no sentence: the words would go a way that the figure beside them does not."""
    almost = [InvoicedRow("USD", "shop", "Shop", "bq", "BigQuery", Decimal("129090.24"), Decimal("129096.68"))]
    [subject] = of_month(a_month(spent=almost, invoices=[InvoiceMonth("USD", Decimal("129090.24"), None)]))
    row = anomaly(DAY, "129090.24", "129096.68", direction="down", start_day=DAY)

    assert said_of(subject)[0] == "October 2026 came to $129,090, about as much as September 2026"
    assert "$6.44 less than the $129,097 of September 2026" in said_of(subject)[1]
    assert "It cost $129,090 where $129,097 was expected." in said_of(explained(row))[1]


def test_an_open_month_is_not_compared() -> None:
    """Twenty days are no saving against thirty-one."""
    [subject] = of_month(a_month(is_over=False))

    headline, body, _ = said_of(subject)

    assert headline == "October 2026: $210 so far"
    assert "still open" in body
    assert "September" not in body


def test_every_figure_of_a_text_is_among_its_facts() -> None:
    """Nothing is shown that cannot be opened."""
    for subject in (*of_day(A_DAY), explained(*TWO_DAYS), *of_month(a_month())):
        assert {name for part in rules.write(subject).parts for name in tokens(part)} <= set(subject.facts)
