"""The checker: what a text may say. Whoever wrote it, a model or a rule, it is stored only when this has no objection.

A figure reaches a reader as a token that stands for a fact, so a text that holds no number of its own cannot hold a
wrong one. What is left to get wrong is the sentence around the token, and a few rules watch it. A sentence without a
token says nothing that can be looked up, and is refused. A word that says up or down must stand beside a fact that goes
that way, and a fact that goes some way needs such a word. A figure of one service must not follow the name of another.
What was expected, was before or could be saved has to be called so, and nothing else may be called expected.

Nothing but letters and plain punctuation is let through, so there is no list of markup, scripts or invisible
characters that could be incomplete; the other rules exist to say what is wrong. Reasons may be sent to a provider:
they repeat nothing but tokens.
"""

import re
import string
import unicodedata
from collections.abc import Collection, Iterator, Mapping

from pydantic import BaseModel, ConfigDict

from finops_insights.facts import Direction, Fact
from finops_insights.rendering import TOKEN, token

HEADLINE_LIMIT = 240
BODY_LIMIT = 1600
"""Characters of a template. Its tokens are longer than most of what they stand for."""

TOLD = 40
"""So much of a token nobody knows is repeated to who made it up."""

PLAIN = frozenset(string.ascii_letters + " \n.,;:!?'\"()-\u2013\u2014\u2018\u2019\u201c\u201d")

_ONES = "zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve"
_TEENS = "thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen"
_TENS = "twenty|thirty|forty|fourty|fifty|sixty|seventy|eighty|ninety"
_MANY = "hundred|thousand|million|billion|trillion"
_ORDINALS = (
    "first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth|thirteenth|fourteenth|fifteenth|"
    "sixteenth|seventeenth|eighteenth|nineteenth|twentieth|thirtieth|fortieth|fiftieth|sixtieth|seventieth|eightieth|"
    "ninetieth|hundredth|thousandth|millionth|billionth|firstly|secondly|thirdly"
)
_PARTS = (
    "half|halves|halve[ds]?|halving|quarter|quarters|quartered|percent|percentage|percentages|percentile|permille|"
    "per[ -]+cent|per[ -]+mille|basis[ -]+points?|tenths?|thirds"
)
_MULTIPLES = (
    "once|twice|thrice|doubl(?:e[ds]?|ing|y)|tripl(?:e[ds]?|ing|y)|trebl(?:e[ds]?|ing)|quadrupl(?:e[ds]?|ing)|"
    "quintupl(?:e[ds]?|ing)|dozens?|score|couple|pair|single|solo|duo|trio|nil|nought|naught|umpteen|grand|"
    r"\w*fold|nothing|none|gratis|(?:for|cost|is|was|were|of) free|"
    r"(?:no|not any) (?:cost|charge|spend|money|bill|fee)\w*"
)
_ABROAD = (
    "zwei|drei|vier|sechs|sieben|acht|neun|zehn|zwanzig|hundert|tausend|prozent|doppelt|verdoppelt|halb|haelfte|"
    "deux|trois|quatre|cinq|huit|neuf|dix|vingt|mille|moitie|pourcent|tres|cuatro|cinco|siete|ocho|nueve|diez|cien|"
    "doble|mitad|quattro|cinque|sette|otto|dieci|cento|dois|quatro|oito|dez|twee|vijf|zeven|negen|tien|honderd"
)
_NUMBER_WORD = re.compile(
    rf"(?<![a-z])(?:(?:{_ONES}|{_TEENS}|{_TENS}|{_MANY})+(?:{_ORDINALS}|s)?|{_ORDINALS}|{_PARTS}|{_MULTIPLES}|{_ABROAD})"
    r"(?![a-z])",
    re.IGNORECASE,
)
_ROMAN = re.compile(r"(?<![A-Za-z])(?:[IVXLCDM]{2,}|[VX])(?![A-Za-z])")
_LINK = re.compile(
    r"[a-z]+://|www\.|\b(?:javascript|data|mailto|vbscript|file|https?)\s*:|\]\s*\(|[a-z]\.[a-z]", re.IGNORECASE
)
_MARKUP = re.compile(r"[<>`*_#|~\[\]\\=@&/]|--|^\s*(?:[-+>]|\u2013|\u2014)\s", re.MULTILINE)
_GLUED = re.compile(
    r"[^\s(\"'\u2018\u201c]\{\{f_|\}\}(?![\s)\"\u201d]|$|['\u2019]s\b|[.,;:!?]+(?:[\s)\"'\u2019\u201d]|$)|['\u2019](?:\s|$))"
)
_SCALED = re.compile(
    r"\b(?:minus|plus|negative|times|dollars?|euros?|pounds?|yen|usd|eur|gbp|jpy|chf|bucks?)\b|"
    r"\}\}\s+(?:k|m|b|x|bn|mn|mm|tn|mio|mrd|(?:a|an|per|each|every)\s+(?:hour|day|week|month|quarter|year))\b",
    re.IGNORECASE,
)
_ALIAS = re.compile(r"\b[a-z]+_[0-9a-f]{6,}", re.IGNORECASE)

_UP = re.compile(
    r"\b(?:up(?! to\b)|upwards?|upturn|rise[sn]?|rising|rose|rais\w+|increas\w*|grow\w*|grew|higher|highest|more|above|"
    r"exceed\w*|excess\w*|jump\w*|climb\w*|surg\w*|spik\w*|soar\w*|gain\w*|add(?:s|ed|ing|itional)?|extra|balloon\w*|"
    r"swell\w*|swollen|dearer|costlier|inflat\w*|escalat\w*|overspen\w*|"
    r"over (?:the |what )?(?:expect\w*|budget|plan))\b",
    re.IGNORECASE,
)
_DOWN = re.compile(
    r"\b(?:down|downwards?|downturn|fall\w*|fell|drop\w*|decreas\w*|declin\w*|lower\w*|lowest|less|lesser|fewer|fewest|"
    r"reduc\w*|below|shr[aiu]nk\w*|cheaper|dip(?:s|ped|ping)?|plung\w*|plummet\w*|sank|sink\w*|sunk|slump\w*|slid\w*|"
    r"diminish\w*|dwindl\w*|contract(?:ed|ing|s)|underspen\w*|eas(?:ed|es|ing)|"
    r"under (?:the |what )?(?:expect\w*|budget|plan))\b",
    re.IGNORECASE,
)
_DENIAL = re.compile(
    r"\b(?:not|never|no|nor|neither|hardly|barely|without|cannot|nothing)\b|n['\u2019]t\b", re.IGNORECASE
)
_STATEMENT = re.compile(r"[.!?;:]+(?:\s|$)|\n")
_SENTENCE = re.compile(r"[.!?]+['\"\u2019\u201d)]*(?:\s|$)|\n")
_CLAUSE = re.compile(r",|\s[-\u2013\u2014]\s|\b(?:while|but|whereas|although|though|and|yet)\b", re.IGNORECASE)
_ROLES = (
    (
        re.compile(r"f_(?:expected|forecast)(?:_.*)?"),
        re.compile(
            r"\b(?:expect\w*|forecast\w*|estimat\w*|likely|would|will|should|usual|normal|cases)\b", re.IGNORECASE
        ),
        "is only expected: say so",
    ),
    (
        re.compile(r"f_(?:.*_)?before(?:_.*)?|f_last_month_spend"),
        re.compile(r"\b(?:before|previous\w*|earlier|last|than|as much as|against|compared|from)\b", re.IGNORECASE),
        "was before: say so",
    ),
    (
        re.compile(r"f_savings?(?:_.*)?"),
        re.compile(r"\b(?:sav(?:e|es|ed|ing|ings)|could)\b", re.IGNORECASE),
        "could be saved: say so",
    ),
)
"""By the id of an amount: the words of which a sentence about it needs one, and what it is otherwise not said to be."""
_CALLED_EXPECTED = re.compile(
    r"\{\{(f_\w+)\}\}\s+(?:(?:was|were|is|are|had been|would be|would have been)\s+)?"
    r"(?:expected|forecast|predicted|estimated|usual|normal)\b",
    re.IGNORECASE,
)
_CONTRARY: Mapping[Direction, tuple[re.Pattern[str], re.Pattern[str]]] = {"up": (_UP, _DOWN), "down": (_DOWN, _UP)}

ORDINARY_WORDS = frozenset(
    """
    a about account across after all also among amount an and anomalies anomaly any anybody are as ask asking at be
    been before began behind belongs beside between bill billed billing bills booked but by came can cases cent
    change changed changes charge charges check checker come comes compare compared complete cost costs could counts
    coverage credit credits day days deployed did difference differs direction discount does down during each
    earlier end ended ends engine equals estimate every everything expected explains export fact facts far fell few
    fewer figure first follow for forecast found from go going had handed has have headline here history hold how if
    in invoice invoices is it its jobs kind language larger largest last late least less level likely little look looked
    made many meant model month months more most much name needed needs new no none normal not nothing now of off on
    one open or other others otherwise out over own part parts past percent plain price project projects purpose
    quota rather refused region resized rest rests rose round rules run runs s same saved saving say scheduled see
    sentences service services set share should since sku small so some something spend spent spread stand started
    state stayed still stopped subject switched taken text texts than that the their then there these they this
    those through to token too total unusual up usage usual was way went were what when where whether which while
    who whom why will with within without words worth would writes yet
    """.split()  # noqa: SIM905 -- a list of strings would fill a page
)
"""Words that sentences about costs are made of. A project called by such words cannot be told from them, and is not
looked for: otherwise whoever may create a project could take everybody's sentences away."""


class Template(BaseModel):
    """A text as it is stored: with tokens in place of figures, names and days."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    headline: str
    body: str
    check: str | None = None
    """What to look at first, for a text that asks for action."""

    @property
    def parts(self) -> list[str]:
        """Everything a reader will see."""
        return [part for part in (self.headline, self.body, self.check) if part is not None]


def check_template(template: Template, facts: Mapping[str, Fact], names: Collection[str] = ()) -> list[str]:
    """Every objection to a template; empty when it may be stored."""
    found = check(template.headline, facts, names, limit=HEADLINE_LIMIT)
    if "\n" in template.headline:
        found.append("a headline is a line")
    for part in template.parts[1:]:
        found += check(part, facts, names)
    return list(dict.fromkeys(found))


def check(text: str, facts: Mapping[str, Fact], names: Collection[str] = (), *, limit: int = BODY_LIMIT) -> list[str]:
    """Every objection to a text that may show `facts` and must not spell out `names`."""
    bare = TOKEN.sub(" ", text)
    folded = unicodedata.normalize("NFKC", bare)
    found = list(_of_form(text, limit))
    for version in dict.fromkeys((bare, folded)):
        found += _of_characters(version)
    found += [f"unknown token {token(name[:TOLD])}" for name in TOKEN.findall(text) if name not in facts]
    if _names_in(folded, names):
        found.append("the name of something, spelled out: use its token")
    if any(s.strip() and not TOKEN.search(s) for s in _SENTENCE.split(text)):
        found.append("a sentence without a token: say only what the facts say")
    found += _of_directions(text, facts)
    found += _of_subjects(text, facts)
    found += _of_roles(text, facts)
    return list(dict.fromkeys(found))


def _of_form(text: str, limit: int) -> Iterator[str]:
    if not any(c.isalpha() for c in TOKEN.sub("", text)):
        yield "no words"
    if len(text) > limit:
        yield "too long"
    if _GLUED.search(text):
        yield "a token that touches a word, a sign or another token: they would read as another figure"
    if _SCALED.search(text):
        yield "a sign, a currency, a multiple or a rate beside a token: tokens bring their own"


def _of_characters(text: str) -> Iterator[str]:
    if "{" in text or "}" in text:
        yield "malformed token: write {{f_name}} exactly as given"
    if any(unicodedata.category(c) in ("Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp") and c != "\n" for c in text):
        yield "hidden or control characters"
    if any(c.isdigit() or unicodedata.numeric(c, None) is not None for c in text) or _ROMAN.search(text):
        yield "a number: every figure is a token"
    if _NUMBER_WORD.search(text):
        yield "a number word (also one, first, once, half, double, percent): every figure is a token"
    if any(unicodedata.category(c) == "Sc" or c in "%\u2030\u2031" for c in text):
        yield "a currency or percent sign: tokens bring their own"
    if _LINK.search(text):
        yield "a link, an address or an abbreviation with points"
    if _MARKUP.search(text):
        yield "markup: write plain sentences"
    if _ALIAS.search(text):
        yield "an alias, spelled out: use the token it belongs to"
    if any(c not in PLAIN and c not in "{}" for c in text):
        yield "a character that is neither a plain letter nor plain punctuation"


def _names_in(text: str, names: Collection[str]) -> bool:
    said = " ".join(text.casefold().split())
    for name in names:
        looked_for = " ".join(unicodedata.normalize("NFKC", name).casefold().split())
        if len(looked_for) < 2 or set(re.findall(r"[^\W_]+", looked_for)) <= ORDINARY_WORDS:
            continue
        if re.search(rf"(?<![a-z0-9]){re.escape(looked_for)}(?![a-z0-9])", said):
            return True
    return False


def _of_directions(text: str, facts: Mapping[str, Fact]) -> Iterator[str]:
    """Up is up and down is down."""
    for sentence in _STATEMENT.split(text):
        directed = _directed(sentence, facts)
        says_up, says_down = bool(_UP.search(sentence)), bool(_DOWN.search(sentence))
        if not directed:
            if says_up or says_down:
                yield "a word that says up or down, in a sentence without a token of a change that goes that way"
            continue
        if _DENIAL.search(sentence):
            yield "a denial in the sentence of a change: say what happened"
        if len(set(directed.values())) == 1:
            yield from _contradictions(sentence, directed)
            continue
        for clause in _CLAUSE.split(sentence):
            within = _directed(clause, facts)
            if within:
                yield from _contradictions(clause, within)
            elif _UP.search(clause) or _DOWN.search(clause):
                yield "two changes that go different ways in a sentence: write a sentence for each"


def _directed(text: str, facts: Mapping[str, Fact]) -> dict[str, Direction]:
    found: dict[str, Direction] = {}
    for name in TOKEN.findall(text):
        direction = facts[name].direction if name in facts else None
        if direction is not None:
            found[name] = direction
    return found


def _contradictions(text: str, directed: Mapping[str, Direction]) -> Iterator[str]:
    for name, direction in directed.items():
        said, contrary = _CONTRARY[direction]
        if contrary.search(text):
            yield f"{token(name)} goes {direction} and a word beside it says otherwise"
        elif not said.search(text):
            yield f"{token(name)} goes {direction}: say so beside it"


def _of_roles(text: str, facts: Mapping[str, Fact]) -> Iterator[str]:
    """An expected cost is not a cost, nor is last month's this one's."""
    for sentence in _SENTENCE.split(text):
        for name in TOKEN.findall(sentence):
            if name not in facts or facts[name].unit != "currency":
                continue
            for role, words, otherwise in _ROLES:
                if role.fullmatch(name) and not words.search(TOKEN.sub(" ", sentence)):
                    yield f"{token(name)} {otherwise}"
    for name in _CALLED_EXPECTED.findall(text):
        if name in facts and facts[name].unit == "currency" and not _ROLES[0][0].fullmatch(name):
            yield f"{token(name)} is not what was expected"


def _of_subjects(text: str, facts: Mapping[str, Fact]) -> Iterator[str]:
    """A figure that belongs to a name follows that name, or is followed by it where no name came before."""
    owners = sorted((f.id for f in facts.values() if f.unit == "name"), key=len, reverse=True)
    shown = [name for name in TOKEN.findall(text) if name in facts]
    last: str | None = None
    for place, name in enumerate(shown):
        if name in owners:
            last = name
            continue
        owner = next((o for o in owners if name.startswith(f"{o}_")), None)
        if owner is None:
            continue
        nearest = last or next((later for later in shown[place:] if later in owners), None)
        if nearest != owner:
            yield f"{token(name)} is not a figure of the name it stands beside"
