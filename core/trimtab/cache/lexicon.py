"""Words whose kind decides whether two questions can have the same answer."""

from __future__ import annotations

FUNCTION = frozenset(
    """a an the this that these those of to in on at for from by with about into onto as and or but
    if then than so is are was were be been being am do does did done doing have has had having can
    could may might shall should will would must i me my mine we us our you your he him his she her
    it its they them their one there here just really actually some any what which who whom whose
    when where why how also too very much many more please kindly hi hello hey um uh so well ok
    okay like know tell let get got make want need way there's etc s t""".split()
)
"""Words that say little by themselves."""

POLITE = frozenset(
    """please kindly hi hello hey um uh erm well ok okay thanks thank thx pls plz just really
    actually basically quick question sorry excuse""".split()
)

ARTICLES = frozenset("a an the some any do does did is are was were be been being".split())
"""Words that come and go as a question is turned round."""

JOINING = frozenset("and or vs versus nor plus &".split())
"""Words around which two things may stand in either order."""

SYMMETRIC = frozenset(
    """difference differences differ differs different similar similarity similarities compare
    compared relation relationship equal same distance far both either between
    mix mixed along""".split()
)
"""Words that say so of two things wherever they stand."""

PREPOSITIONS = frozenset(
    "during before after until since within without over under above below through".split()
)
"""Those that say something by themselves, unlike the ones among `FUNCTION`."""

NEGATIONS = frozenset(
    """not no never none nothing nobody without cannot neither nor except excluding unless stop
    avoid refuse fail lack hardly nt""".split()
)

QUESTION = {
    "how": "how", "why": "why", "when": "when", "where": "where", "who": "who", "whom": "who",
    "whose": "who", "which": "what", "what": "what", "reason": "why", "reasons": "why",
    "cause": "why", "causes": "why", "because": "why", "steps": "how", "instructions": "how",
    "process": "how", "cost": "price", "costs": "price", "price": "price", "fee": "price",
    "fees": "price", "cheap": "price", "charge": "price", "deadline": "when", "date": "when",
    "time": "when", "hours": "when", "long": "span", "duration": "span", "many": "count",
    "number": "count", "much": "amount", "difference": "contrast", "vs": "contrast",
    "versus": "contrast", "better": "contrast", "compare": "contrast", "best": "best",
    "top": "best", "good": "best", "worst": "worst", "define": "meaning", "definition": "meaning",
    "mean": "meaning", "meaning": "meaning", "can": "may", "could": "may", "may": "may",
    "allowed": "may", "possible": "may", "able": "may", "should": "ought", "must": "ought",
    "required": "ought", "need": "ought", "have": "ought", "advantages": "pros", "pros": "pros",
    "benefits": "pros", "disadvantages": "cons", "cons": "cons", "drawbacks": "cons",
    "risks": "cons", "where's": "where", "is": "whether", "are": "whether", "do": "whether",
    "does": "whether", "did": "whether", "will": "whether",
}  # fmt: skip
"""What a word of a question asks for."""

SCOPE = frozenset(
    """only all any every each both either half whole entire some most first last next previous
    latest current new old other another same different again still yet already always ever
    before after during until since within between over under above below more less at least most
    max maximum min minimum child children kid kids adult adults senior student students spouse
    parent parents owner tenant landlord buyer seller guest member employee employer business
    personal private public free paid premium basic pro enterprise annual monthly weekly daily
    yearly domestic international online offline local remote temporary permanent single double
    joint minor dependent beginner expert internal external part full gift second third used
    besides beyond alone together myself yourself someone else""".split()
)
"""Words that narrow or widen a question."""

NUMBERS = {
    word: str(value)
    for value, word in enumerate(
        """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen
        fifteen sixteen seventeen eighteen nineteen twenty""".split()
    )
} | {
    "thirty": "30", "forty": "40", "fifty": "50", "sixty": "60", "seventy": "70", "eighty": "80",
    "ninety": "90", "hundred": "100", "thousand": "1000", "million": "1000000", "dozen": "12",
    "first": "1st", "second": "2nd", "third": "3rd", "fourth": "4th", "fifth": "5th",
    "twice": "2x", "double": "2x", "triple": "3x", "half": "0.5", "couple": "2", "once": "1x",
}  # fmt: skip

DATES = frozenset(
    """january february march april may june july august september october november december
    monday tuesday wednesday thursday friday saturday sunday today tomorrow yesterday tonight
    morning afternoon evening night noon midnight weekend weekday weekdays weekends spring summer
    autumn fall winter christmas easter ramadan diwali""".split()
)

SAME_UNIT = {
    word: unit
    for unit, words in {
        "kg": "kg kgs kilo kilos kilogram kilograms",
        "g": "gram grams gramme grammes",
        "lb": "lb lbs pound pounds gbp £",
        "km": "km kms kilometer kilometers kilometre kilometres",
        "m": "meter meters metre metres",
        "cm": "cm centimeter centimeters centimetre centimetres",
        "mi": "mile miles",
        "ft": "ft foot feet",
        "in": "inch inches",
        "min": "min mins minute minutes",
        "h": "hr hrs hour hours",
        "s": "sec secs second seconds",
        "day": "day days",
        "week": "week weeks",
        "month": "month months",
        "year": "yr yrs year years",
        "usd": "usd dollar dollars bucks $",
        "eur": "eur euro euros €",
        "inr": "inr rupee rupees rs ₹",
        "percent": "percent percentage %",
        "gb": "gb gigabyte gigabytes",
        "mb": "mb megabyte megabytes",
        "tb": "tb terabyte terabytes",
        "c": "celsius centigrade",
        "f": "fahrenheit",
        "l": "liter liters litre litres",
    }.items()
    for word in words.split()
}

OPPOSITES = frozenset(
    frozenset(pair.split("/"))
    for pair in """
    open/close open/closed opening/closing on/off in/out up/down upgrade/downgrade
    increase/decrease raise/lower rise/fall grow/shrink gain/lose win/lose buy/sell
    purchase/sell lend/borrow import/export upload/download send/receive give/take give/receive
    push/pull enable/disable activate/deactivate activate/cancel install/uninstall
    subscribe/unsubscribe follow/unfollow block/unblock lock/unlock mute/unmute hide/show
    hide/reveal add/remove add/delete insert/delete create/delete create/destroy start/stop
    start/end start/finish begin/end begin/stop continue/stop pause/resume include/exclude
    included/excluded with/without accept/reject accept/decline accept/refuse approve/deny
    approve/reject allow/forbid allow/ban allow/block allowed/forbidden allowed/banned
    legal/illegal possible/impossible safe/dangerous safe/unsafe safe/harmful good/bad
    better/worse best/worst advantage/disadvantage advantages/disadvantages pros/cons
    benefit/drawback benefits/drawbacks benefits/risks strength/weakness strengths/weaknesses
    positive/negative like/dislike love/hate before/after earlier/later early/late
    earliest/latest first/last newest/oldest new/old latest/oldest young/old younger/older
    minimum/maximum min/max least/most less/more fewer/more lowest/highest low/high lower/higher
    lower/upper cheap/expensive cheaper/pricier cheapest/dearest short/long shorter/longer
    small/large smaller/larger small/big smaller/bigger smallest/largest smallest/biggest
    narrow/wide thin/thick light/heavy light/dark bright/dark weak/strong slow/fast
    slower/faster slow/quick near/far inside/outside indoor/outdoor indoors/outdoors
    internal/external inbound/outbound incoming/outgoing arrive/depart arrival/departure
    arrivals/departures check-in/check-out checkin/checkout entry/exit enter/leave enter/exit
    join/leave hire/fire employer/employee landlord/tenant buyer/seller lender/borrower
    teacher/student doctor/patient parent/child husband/wife mother/father son/daughter boy/girl
    man/woman men/women male/female boys/girls his/her brother/sister public/private
    domestic/international local/remote online/offline manual/automatic temporary/permanent
    full/empty full/partial part-time/full-time hot/cold warm/cool wet/dry clean/dirty
    raw/cooked fresh/frozen sweet/sour soft/hard easy/difficult easy/hard simple/complex
    true/false right/wrong correct/incorrect valid/invalid success/failure succeed/fail
    pass/fail alive/dead live/die birth/death born/die married/divorced marry/divorce
    single/married rich/poor happy/sad friend/enemy ally/enemy peace/war attack/defend
    north/south east/west northern/southern eastern/western left/right top/bottom front/back
    above/below over/under ascending/descending horizontal/vertical input/output read/write
    encode/decode encrypt/decrypt compress/decompress zip/unzip merge/split join/split
    connect/disconnect attach/detach mount/unmount asset/liability assets/liabilities
    profit/loss income/expense debit/credit deposit/withdraw deposit/withdrawal save/spend
    supply/demand export/import hardware/software theory/practice always/never everyone/nobody
    all/none both/neither day/night morning/evening am/pm weekday/weekend weekdays/weekends
    summer/winter sunrise/sunset yesterday/tomorrow past/future previous/next last/next
    ancient/modern breakfast/dinner lunch/dinner adult/child adults/children single/return
    one-way/return eat/avoid take/avoid use/avoid remember/forget lose/find lost/found
    ask/answer question/answer encourage/discourage support/oppose agree/disagree
    appear/disappear trust/distrust agreement/disagreement obey/disobey qualified/unqualified
    eligible/ineligible suitable/unsuitable available/unavailable able/unable visible/invisible
    dependent/independent direct/indirect active/inactive active/passive formal/informal
    regular/irregular voluntary/mandatory optional/mandatory optional/required
    optional/compulsory refundable/nonrefundable inclusive/exclusive taxable/exempt
    liable/exempt major/minor majority/minority broad/narrow general/specific abstract/concrete
    gain/loss reduce/increase cut/increase shrink/expand contract/expand tighten/loosen
    freeze/thaw melt/freeze freeze/unfreeze hire/sack promote/demote immigrate/emigrate
    immigrant/emigrant predecessor/successor ancestor/descendant cause/prevent cause/cure
    causes/symptoms cure/prevent treat/prevent diagnose/treat introvert/extrovert
    introverts/extroverts optimist/pessimist creditor/debtor plaintiff/defendant host/guest
    winner/loser hero/villain
    """.split()
)
