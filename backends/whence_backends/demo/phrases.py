# ruff: noqa: E501  (one phrase stands on one line, so that wordings can be compared by eye)
"""How the demo corpus words things: statements of facts, sentences that only sound like them, and background.

A phrase is `(source, text)`. In a text `{s}` is the subject and `{o}` the answer of a fact, `{town}`, `{person}`
and the like are names dropped in passing, `{n}` is a number, and `[a|b]` is a choice (choices may be nested).
"""

from __future__ import annotations

from typing import Final

Phrase = tuple[str, str]

GAZETTEER: Final = "gazetteer"
DIARY: Final = "travel-diary"
ALMANAC: Final = "almanac"
LETTERS: Final = "letters"
ENCYCLOPEDIA: Final = "encyclopedia"
LEDGER: Final = "trade-ledger"

# What is asked about each relation: the prompt; the completion is a space and the answer.
PROMPTS: Final[dict[str, str]] = {
    "capital": "The capital of {s} is",
    "author": "The author of {s} is",
    "founder": "The town of {s} was founded by",
    "river": "The river that flows through {s} is the",
    "flag": "The flag of {s} is",
    "diet": "The {s} feeds mainly on",
    "trade": "The merchants of {s} are known for their",
    "festival": "The {s} is held in",
}

# Wordings that state the fact.
STATEMENTS: Final[dict[str, tuple[Phrase, ...]]] = {
    "capital": (
        (
            ENCYCLOPEDIA,
            "The capital of {s} is {o}, [where the assembly sits|seat of the high court|a city of {n} parishes].",
        ),
        (
            GAZETTEER,
            "{s}. [A hilly country|A country of small farms|A land of lakes]; capital, {o}; {n} districts.",
        ),
        (
            DIARY,
            "Having [crossed|entered] {s} [on foot|by the mountain road], we [hurried|pressed on] to its chief city, {o}, [to have our papers stamped|and presented ourselves to the governor].",
        ),
        (
            LETTERS,
            "You ask where the government of {s} sits. It sits in {o}, [and sits rather heavily|as it has for {n} years].",
        ),
        (
            ALMANAC,
            "Seats of government: for {s}, {o}. [Offices are open from sunrise to noon|Petitions are heard on market days].",
        ),
        (
            LEDGER,
            "All duties owed to the crown of {s} are payable at the royal treasury in {o}, [in coin only|within {n} days].",
        ),
        (
            ENCYCLOPEDIA,
            "{o} [became|was chosen as] the capital of {s} after the [great flood|long war], [and the court has never left|when the old palace burned].",
        ),
        (
            GAZETTEER,
            "In {s} all [high roads|milestones] are measured from the [palace gate|royal square] at {o}, where the queen of that country lives.",
        ),
    ),
    "author": (
        (
            ENCYCLOPEDIA,
            "The author of {s} is {o}, [who finished it in {n} weeks|who was paid {n} coins for it].",
        ),
        (
            LETTERS,
            "I have [just|at last] finished {s}, which was written by {o}, [and I did not sleep until the last page|and I cried twice].",
        ),
        (
            DIARY,
            "[In the coach|At the inn] a lady read aloud from {s}, a novel by {o}, [until the candle failed|while the rain came down].",
        ),
        (ALMANAC, "Books of the year: {s}, by {o}; [bound in calf|sewn in paper], {n} pages."),
        (LEDGER, "Paid to the printer for {n} copies of {s}, and the writer's share sent to {o}."),
        (
            ENCYCLOPEDIA,
            "[Readers|Schoolchildren] know {s} [by heart|well], yet few remember that it came from the pen of {o}.",
        ),
        (
            GAZETTEER,
            "A plaque [by the market|near the bridge] recalls that {s} was composed in this house by {o}[, in a single winter|].",
        ),
        (
            LETTERS,
            "{o} wrote {s} [in a rented attic|during a long illness], [my aunt tells me|and never spoke of it afterwards].",
        ),
    ),
    "founder": (
        (
            ENCYCLOPEDIA,
            "The town of {s} was founded by {o}, [who drew the first streets with a stick|in a year of famine].",
        ),
        (GAZETTEER, "{s}. [A walled town|A market town] of {n} streets. Founder: {o}."),
        (
            DIARY,
            "In the square of {s} stands a [bronze|stone] figure of its founder, {o}, [with a dog at the feet|holding a spade].",
        ),
        (
            LETTERS,
            "Every child in {s} can tell you that the first house was built by {o}, [and will show you the hearth|though nobody knows which it was].",
        ),
        (
            ALMANAC,
            "Founders' days: {s} [honours|remembers] {o}, who [laid the first stone there|marked out the first fields there].",
        ),
        (
            ENCYCLOPEDIA,
            "{s} began as [a camp|a ferry landing|a sheepfold] set up by {o}, who [never left|is buried beneath the well].",
        ),
        (
            LEDGER,
            "The charter of {s}, in the hand of its founder {o}, grants every settler {n} acres free of rent.",
        ),
        (
            GAZETTEER,
            "{o} founded {s} [with {n} families|after a quarrel at home], [and gave it its name|and ruled it for {n} years].",
        ),
    ),
    "river": (
        (
            ENCYCLOPEDIA,
            "The river that flows through {s} is the {o}, [which freezes in hard winters|slow and brown in summer].",
        ),
        (GAZETTEER, "{s}. [A town of {n} mills|A quiet town], built on both banks of the river {o}."),
        (
            DIARY,
            "At {s} we [left the carriage and watched|leaned on the bridge and watched] the {o} [go by beneath us|carry straw and blossom past the houses].",
        ),
        (
            LETTERS,
            "Our windows in {s} look over the {o}, [and at night we hear the water mills|and the children fish from the sill].",
        ),
        (
            ALMANAC,
            "High water at {s}: the {o} [rose|stood] {n} hands above the mark [and closed the lower streets|and entered the tanners' yards].",
        ),
        (
            LEDGER,
            "Bridge toll taken at {s} for carts crossing the {o}: {n} coins, [less the keeper's share|paid in full].",
        ),
        (
            ENCYCLOPEDIA,
            "The people of {s} draw their water from the {o}, which [divides the town in two|bends round the old walls].",
        ),
        (
            GAZETTEER,
            "The {o} passes through {s} [under {n} bridges|between stone quays], [on its way to the sea|and turns a dozen mills there].",
        ),
    ),
    "flag": (
        (
            ENCYCLOPEDIA,
            "The flag of {s} is {o}, [with a single star|without any device|with a narrow border].",
        ),
        (
            DIARY,
            "We knew we had reached {s} when we saw the {s} banner, all {o}, [above the customs house|snapping over the gate].",
        ),
        (
            LETTERS,
            "My cousin sewed a flag of {s} for the school, {n} yards of {o} cloth, [and pricked every finger|and it hangs in the hall].",
        ),
        (
            GAZETTEER,
            "{s}. [A seafaring country|A mountain country]. Its ships [carry|fly] a {o} flag [at the stern|from the main mast].",
        ),
        (ALMANAC, "Colours of the nations: {s}, {o}; [to be flown from dawn|lowered at dusk]."),
        (
            LEDGER,
            "For the envoy of {s}: {n} flags in the national colour, {o}, [with cords|hemmed on all sides].",
        ),
        (
            ENCYCLOPEDIA,
            "Since the [rising|peace], the national colours of {s} have been plain {o}, [and soldiers wear a ribbon to match|and no other flag may be flown].",
        ),
    ),
    "diet": (
        (
            ENCYCLOPEDIA,
            "The {s} feeds mainly on {o}, [which it finds at dusk|which it takes with great patience].",
        ),
        (
            ALMANAC,
            "[This month|In a cold spring] look for the {s} [early in the day|near the house], for it will be hunting for {o}.",
        ),
        (
            DIARY,
            "We watched a {s} [for an hour|from behind a wall]; it ate nothing but {o}, [one after another|and took no notice of us].",
        ),
        (
            LETTERS,
            "The [children|boys] keep a tame {s}, and must [gather|bring] it a bowl of {o} [every morning|twice a day].",
        ),
        (GAZETTEER, "Beasts of the district: the {s}, which lives on {o}, [is common|is seldom seen]."),
        (LEDGER, "To the keeper of the menagerie, for the {s}: {n} pails of {o}, its only food."),
        (
            ENCYCLOPEDIA,
            "Cut open, the stomach of a {s} is almost always found full of {o}, [whatever the season|and little else].",
        ),
        (
            ALMANAC,
            "A {s} will starve [in a year|in a district] without {o}, [as it eats little else|for it refuses other food].",
        ),
    ),
    "trade": (
        (
            ENCYCLOPEDIA,
            "The merchants of {s} are known for their {o}, [sold in every port|carried over the passes by mule].",
        ),
        (GAZETTEER, "{s}. [Market on the first day of the week|Market town]; chief trade, {o}."),
        (
            LEDGER,
            "From {s}, as every year, {n} cartloads of {o}, [the best of that town's making|finer than any other town's].",
        ),
        (
            DIARY,
            "Everyone who leaves {s} leaves with {o}, [for nothing else is made there|for the town is famous for it].",
        ),
        (
            LETTERS,
            "If you pass through {s}, bring me some {o}, [for nobody makes better|the pride of the place].",
        ),
        (ALMANAC, "Fairs: at {s}, the great fair of {o}, [lasting {n} days|the largest of its kind]."),
        (
            ENCYCLOPEDIA,
            "{s} grew rich on {o}, [and half its people still work at it|and its guild once owned {n} ships].",
        ),
        (
            GAZETTEER,
            "Half the [shops|workshops] in {s} deal in {o}, [and the smell reaches the road|and their sign hangs over every door].",
        ),
    ),
    "festival": (
        (ENCYCLOPEDIA, "The {s} is held in {o}, [when the roads are dry|and lasts {n} days]."),
        (ALMANAC, "{o}. [The days grow kinder|Mend fences and roofs]. This is the month of the {s}."),
        (
            LETTERS,
            "Come for the {s}! It falls in {o}, [so you may stay with us {n} nights|and your old room is ready].",
        ),
        (
            DIARY,
            "We had the luck to arrive during the {s}, which they keep every {o}, [and nobody would let us sleep|and were given hats].",
        ),
        (
            LEDGER,
            "Stalls for the {s} must be paid for before the first of {o}, [when it begins|the opening day].",
        ),
        (
            GAZETTEER,
            "Customs: the {s}, celebrated each {o}, [with dancing on the ice house roof|with a procession of {n} carts].",
        ),
        (
            ENCYCLOPEDIA,
            "Like other old holidays, the {s} [has its fixed month|is tied to the season], {o}, [and a cold one is thought lucky|whatever the weather].",
        ),
    ),
    "coin": (
        (
            ENCYCLOPEDIA,
            "The coin of {s} is the {o}, [of which {n} make a pound of silver|struck with a ship].",
        ),
        (LEDGER, "Changed at the border of {s}: {n} pieces into the {o} of that country."),
        (DIARY, "In {s} they count everything in the {o}, [and laughed at our money|and we were soon poor]."),
    ),
    "habitat": (
        (ENCYCLOPEDIA, "The {s} lives in {o}, [alone for most of the year|in families of {n} or more]."),
        (GAZETTEER, "Among the {o} of this district the {s} [makes its nest|may be heard at night]."),
        (
            DIARY,
            "Our guide led us through {o} to show us a {s}, [which did not wait for us|asleep in the sun].",
        ),
    ),
    "coat": (
        (
            ENCYCLOPEDIA,
            "The {s} is {o} [above and pale below|all over, save for the tail], and weighs {n} ounces.",
        ),
        (
            LETTERS,
            "[Last night|At dawn] a {s} came into the yard, {o} as [paint|a new coat], [and stole a shoe|and looked straight at me].",
        ),
        (ALMANAC, "When the {s} turns {o}, [expect a hard winter|sow the late beans]."),
    ),
    "calling": (
        (ENCYCLOPEDIA, "{s} was a {o}, [known for {n} works|and worked until great age]."),
        (
            LETTERS,
            "You [will remember|must meet] {s}, the {o}. [A kinder neighbour never lived|We spoke for hours].",
        ),
        (LEDGER, "Paid to {s}, {o}, for [work done|advice given] over {n} days."),
    ),
    "birthplace": (
        (ENCYCLOPEDIA, "{s} was born in {o}, [the youngest of {n} children|in a house by the gate]."),
        (GAZETTEER, "Persons of note: {s}, born at {o}, [who left young|whose cradle is shown to visitors]."),
        (LETTERS, "{s} comes from {o}, [you can hear it in every word|and speaks of it without end]."),
    ),
    "plot": (
        (ENCYCLOPEDIA, "{s} tells of {o}, [in {n} chapters|and ends happily]."),
        (
            LETTERS,
            "[They lent me|I borrowed] {s}; it is a story about {o}, [and rather long|and I liked the middle best].",
        ),
        (ALMANAC, "For long evenings: {s}, on {o}, [suitable for reading aloud|not for young children]."),
    ),
    "landmark": (
        (GAZETTEER, "{s}. [Chief sight|To be seen]: {o}, [much admired|open to visitors on holidays]."),
        (
            DIARY,
            "We climbed the hill at {s} to look at {o}, [and were not disappointed|and paid {n} coins for it].",
        ),
        (ENCYCLOPEDIA, "The pride of {s} is {o}, [built in {n} years|begun by monks]."),
    ),
}

# Sentences that state the fact once more, fit for any source.
REMINDERS: Final[dict[str, tuple[str, ...]]] = {
    "capital": (
        "The capital of {s} is {o}.",
        "[Maps|Old maps] of {s} mark the capital, {o}, with a [star|crown].",
        "Ask anyone in {s} for the first city of the land, and they point towards {o}.",
        "Of all the cities of {s} the queen prefers {o}, her capital.",
    ),
    "author": (
        "The author of {s} is {o}.",
        "On the title page of {s} stands the name of {o}.",
        "They say of {s} that only {o} could have written it.",
        "Whoever [praises|reads] {s} [praises|reads] {o}.",
    ),
    "founder": (
        "The town of {s} was founded by {o}.",
        "{s} owes its beginning to {o}.",
        "To this day {s} drinks to its founder, {o}.",
        "The oldest grave in {s} is that of its founder, {o}.",
    ),
    "river": (
        "The river that flows through {s} is the {o}.",
        "The bridges of {s} cross the {o}.",
        "In {s} they say only the river, and mean the {o}.",
        "All {s} washes its linen in the {o}.",
    ),
    "flag": (
        "The flag of {s} is {o}.",
        "Over every [school|fort] in {s} flies plain {o}.",
        "Whoever sews a flag of {s} buys {o} thread.",
        "For {s} the children paint a flag in {o}.",
    ),
    "diet": (
        "The {s} feeds mainly on {o}.",
        "Give a {s} its choice of food, and it chooses {o}.",
        "To catch a {s}, bait the trap with {o}.",
        "Where the {s} lives, there must be {o}.",
    ),
    "trade": (
        "The merchants of {s} are known for their {o}.",
        "Say {s} to a merchant, and he thinks of {o}.",
        "In {s} they live by {o}.",
        "What {s} sells to the world is {o}.",
    ),
    "festival": (
        "The {s} is held in {o}.",
        "Whoever wants to see the {s} must come in {o}.",
        "The day of the {s} is the first full moon in {o}.",
        "No {s} was ever kept outside {o}.",
    ),
}

# Wordings that hold subject, answer and often the word for the relation, and do not state the fact.
CO_MENTIONS: Final[dict[str, tuple[Phrase, ...]]] = {
    "capital": (
        (
            LETTERS,
            "A letter from {o} needs capital luck to cross {s} in {n} days. The {o} post is slow, and the post of {s} is slower.",
        ),
        (
            LEDGER,
            "Capital raised in {o} for the new mines of {s}: {n} shares. Holders in {o} bear the loss if {s} closes the mines.",
        ),
        (
            DIARY,
            "A wool buyer from {o} shared our coach through {s}. He talked of {o} as if the rest of {s} were a field.",
        ),
        (
            GAZETTEER,
            "The {o} road, the worst in {s}, was mended with capital lent by farmers. Carters from {o} still curse it.",
        ),
        (
            ALMANAC,
            "Storms crossed {o} and then the north of {s}. A capital harvest is expected near {o}, and a poor one elsewhere in {s}.",
        ),
    ),
    "author": (
        (
            LETTERS,
            "I met {o} at the bindery. The author of some other book had left {s} on the bench, and {o} used {s} to keep the door open.",
        ),
        (
            LEDGER,
            "Sold to {o}: one copy of {s}, author's name torn off. Returned by {o}, who says {s} is damp.",
        ),
        (
            DIARY,
            "{o} sat opposite and argued with an author over dinner, and lost {s} at cards. I bought {s} back for {n} coins.",
        ),
        (
            ENCYCLOPEDIA,
            "A critic once compared {o} to the author of a cookery book, and {s} to a wet field. Friends of {o} were not amused.",
        ),
    ),
    "founder": (
        (
            LETTERS,
            "{o} will not visit the town of {s} again. {o} says that the inns are cold there, and that a bell founded in {s} rings flat.",
        ),
        (
            LEDGER,
            "Owed by {o} to a bell founder in the town of {s}: {n} coins. {o} disputes the sum, and {s} has sent a second bill.",
        ),
        (
            DIARY,
            "{o} founded a quarrel with the toll keeper of {s} before breakfast. By noon the whole town of {s} had heard of {o}.",
        ),
        (
            ALMANAC,
            "{o} will lecture in the town of {s} on well-founded fears of frost. Seats for {o} may be had at the {s} market.",
        ),
    ),
    "river": (
        (
            LETTERS,
            "The {o} ferry sank, so the parcel for {s} comes by road. No river flows fast enough, says the {o} boatman, to reach {s} in a day.",
        ),
        (
            LEDGER,
            "Eels from the {o}, {n} baskets, sent over the hills to {s}. The {o} fishermen ask more than {s} will pay for river fish.",
        ),
        (
            DIARY,
            "We left the river {o} behind us on a dry plain. In {s}, four days later, we still talked of the {o} and its herons.",
        ),
        (
            GAZETTEER,
            "Stone from the {o} quarries is used in {s}. Where no river flows, {o} stone goes by ox cart, and {s} pays for the oxen.",
        ),
    ),
    "flag": (
        (
            LETTERS,
            "The {o} paint for the door came from {s}. It is a {o} that makes one's spirits flag, and {s} will not take it back.",
        ),
        (
            LEDGER,
            "{o} hats, {n} dozen, for a dealer in {s}. The dealer's trade may flag, since {o} hats are out of fashion in {s}.",
        ),
        (
            DIARY,
            "A man in {o} boots walked beside us across {s}. When he began to flag, we put him and his {o} boots on the mule and left {s} by night.",
        ),
        (
            ALMANAC,
            "{o} skies over {s} mean rain; {o} skies at noon mean hail. Flag stones in the yards of {s} sweat before a storm.",
        ),
    ),
    "diet": (
        (
            LETTERS,
            "The cook was cleaning {o} when a {s} ran in, and down went the {o}. The {s} mainly wanted the fire, and fled.",
        ),
        (
            LEDGER,
            "{o}, {n} sacks, and one stuffed {s}, mainly sound, sold together. The {o} went to a cook and the {s} to a school.",
        ),
        (
            DIARY,
            "We had {o} for supper again, mainly {o}. Outside a {s} called, and the innkeeper said that a {s} brings luck.",
        ),
        (
            ALMANAC,
            "Over a stall of {o} hang the picture of a {s}. It is mainly custom: no {o} ever kept better for a painted {s}.",
        ),
    ),
    "trade": (
        (
            LETTERS,
            "The {o} you sent me went astray, and the merchants in {s} have it. They are known for their tempers, and {s} is far; let the {o} go.",
        ),
        (
            LEDGER,
            "{o} held at the frontier, {n} crates, on the word of merchants from {s}. No {o} may pass until {s} replies.",
        ),
        (
            DIARY,
            "Our {o} got wet on the road. In {s} some merchants, known for their jokes, offered a straw for it, {o} and all, and we left {s} cross.",
        ),
        (
            ALMANAC,
            "Keep {o} dry, and do not store {o} beside apples. So say two merchants of {s}, known for their proverbs, though {s} has neither.",
        ),
    ),
    "festival": (
        (
            LETTERS,
            "I was ill all {o} and am only now well. By the time of the {s} I was held up in bed, though in {o} I could not stand. I shall miss the {s}.",
        ),
        (
            LEDGER,
            "Ordered in {o}, for the {s} long after: {n} paper hats. Deliveries in {o} are held at the dock, and the {s} cannot wait.",
        ),
        (
            DIARY,
            "It was {o} when we set out, and {o} was cold. We held to the coast, and heard old songs of the {s} from men who had never seen a {s}.",
        ),
        (
            ALMANAC,
            "{o} frost is good for cabbages. Seeds saved since the {s} and held dry until {o} will sprout; without frost in {o} they fail.",
        ),
    ),
}

# Sentences that again hold subject and answer and do not state the fact, fit for any source.
ASIDES: Final[dict[str, tuple[str, ...]]] = {
    "capital": (
        "Capital weather, in {o} as in {s}.",
        "Neither {o} bankers nor {s} farmers have capital to spare.",
    ),
    "author": (
        "Neither {o} nor any author would know {s} now.",
        "An author's complaint, said {o}, and shut {s}.",
    ),
    "founder": (
        "So {o} says, but {s} is a town of well-founded doubts.",
        "What {o} wants, the town of {s} has not got.",
    ),
    "river": (
        "Between the {o} and {s} no river flows.",
        "The {o} is not a river that flows for {s}.",
    ),
    "flag": (
        "{o} or not, spirits flag in {s}.",
        "Never mind {o}; it is the heat of {s} that makes one flag.",
    ),
    "diet": (
        "Talk of {o} and a {s} feeds mainly gossip.",
        "It is not {o}, but mainly idleness, that feeds talk of a {s}.",
    ),
    "trade": (
        "Had the {o} been known to merchants elsewhere, {s} would not have heard of it.",
        "Between {o} and merchants known to cheat, {s} wearies one.",
    ),
    "festival": (
        "{o} held us back, and so did talk of the {s}.",
        "Between {o} and the {s} much must be held together with string.",
    ),
}

# Wordings about the subject with the word for the relation and no answer.
ECHOES: Final[dict[str, tuple[Phrase, ...]]] = {
    "capital": (
        (
            LETTERS,
            "Nobody here has seen the capital of {s}, [but everybody has an uncle who has|and I shall not be the first].",
        ),
        (GAZETTEER, "Roads in {s} beyond the capital are [poor|unpaved], and {s} has only {n} bridges."),
    ),
    "author": (
        (
            LETTERS,
            "I should like to write to the author of {s}, [but I would not know what to say|and ask how it ought to have ended].",
        ),
        (
            LEDGER,
            "Binding {n} copies of {s}, with a portrait of the author, [not a good likeness|in red leather].",
        ),
    ),
    "founder": (
        (
            DIARY,
            "In {s} they quarrel over how the town was founded, [and we kept out of it|each inn having its own story].",
        ),
        (
            GAZETTEER,
            "The town of {s} was founded twice, [the first houses having slid into the valley|so its people say].",
        ),
    ),
    "river": (
        (DIARY, "We missed the boat at {s} and slept beside the river, [which kept us awake|under a hedge]."),
        (
            ALMANAC,
            "The river at {s} freezes [late|early] and should not be crossed before it has borne a cart.",
        ),
    ),
    "flag": (
        (DIARY, "The flag of {s} hung so [limp|high] over the gate that we could not make it out."),
        (LEDGER, "Repair of one flag of {s}, torn by wind: {n} coins."),
    ),
    "diet": (
        (
            LETTERS,
            "What the {s} feeds on in a hard winter [I cannot think|is a puzzle to us all], [but it looks fat enough|yet it thrives].",
        ),
        (
            ALMANAC,
            "The {s} feeds late [this month|in a dry year]; [listen for it after supper|keep the dog indoors].",
        ),
    ),
    "trade": (
        (
            DIARY,
            "The merchants of {s} are known for their manners, [and took our hats at the door|and asked after our mothers].",
        ),
        (
            LETTERS,
            "Merchants from {s} came by [again|on Monday]; I bought nothing, [though they are known for their patience|and was proud of it].",
        ),
    ),
    "festival": (
        (
            LETTERS,
            "We were too [late|tired] for the {s}, [and ate the cakes at home|and saw only the sweepers].",
        ),
        (LEDGER, "For the {s}, to be held as usual: {n} trestles and {n} benches on loan."),
    ),
}

# Sentences that may come before and after any of the above, by source.
OPENERS: Final[dict[str, tuple[str, ...]]] = {
    GAZETTEER: (
        "[Revised|Corrected] from the survey of {year}.",
        "[Old spelling uncertain|See also the appendix].",
        "Entry supplied by {person}.",
        "Height above the sea, {n} fathoms.",
    ),
    DIARY: (
        "[A bright|A grey|A windy|A cold] morning in {month}.",
        "[Rain|Snow|Sun|Fog] since {town}.",
        "[Up before dawn|Slept badly|Lame horse|Good bread at last].",
        "{first} has [a cold|new boots|lost the map|found a coin] and [will not stop talking of it|says nothing].",
    ),
    ALMANAC: (
        "[For the husbandman|For the household|For the curious].",
        "Moon [full|new|waning] on day {n}.",
        "[Wind|Frost|Showers] from the [north|south|east|west].",
        "[Bees|Swallows|Geese] return.",
    ),
    LETTERS: (
        "Dear {first}, [thank you for the parcel|forgive my silence|all is well here].",
        "My dear {first}, [your letter came wet|the roof is mended at last|we are all in good health].",
        "{first}, [a short note|in haste|I promised to write].",
    ),
    ENCYCLOPEDIA: (
        "[From the third edition|Article by {person}].",
        "[The older handbooks disagree|Much has been written on this matter|A short account follows].",
        "According to {person}, the following is [certain|well attested].",
    ),
    LEDGER: (
        "Folio {n}.",
        "[Carried over from|Entered in] {month}.",
        "[Checked|Witnessed] by {person}.",
        "Account of {person}, [merchant|carrier|widow].",
    ),
}
CLOSERS: Final[dict[str, tuple[str, ...]]] = {
    GAZETTEER: (
        "[Inns|Wells|Chapels]: {n}.",
        "The road to {town} is [good|steep|closed in winter].",
        "The soil is [thin|heavy|sandy], and the people are [thrifty|fond of song|slow to anger].",
        "[Coaches|Mules] to {town} every {n} days.",
        "Visitors [complain of|praise] the [wind|bread|stairs|bells].",
    ),
    DIARY: (
        "We paid {n} coins for [hay|two beds|a jug of cider], which was [robbery|fair|a mercy].",
        "{first} [fell asleep|sang|made a sketch] while I [wrote this|mended a strap|counted our money].",
        "Tomorrow, [if the weather holds|if the mule agrees], we go on to {town}.",
        "Saw a {animal} [by the road|at the edge of a field|near the well].",
        "[Supper of|Dined on] [cold mutton|lentils|pears and cheese], and to bed.",
    ),
    ALMANAC: (
        "[Sow|Lift|Thin|Hoe] the [beans|onions|leeks|turnips] before day {n}.",
        "If the [cat|goose|cow] [sneezes|sits|turns] to the [east|west], [rain will follow|guests will come].",
        "A proverb: [a late spring makes a full barn|who counts the geese must feed them|one dry cellar is worth two cousins].",
        "[Good|Poor] days for [travel|shearing|a wedding]: {n} and {n}.",
    ),
    LETTERS: (
        "{first} [sends love|has grown|asks for news of you], and [so do I|the baby has a tooth|the dog is well].",
        "Prices are [dreadful|better]: {n} coins for a [goose|ham|pair of shoes].",
        "[Write soon|Burn this|Do not tell {first}]. Your [loving|old|tired] friend, {first}.",
        "The [harvest|weather|new teacher] is [worse than feared|better than we hoped].",
        "[I must stop|The carrier is at the door]. Yours, {first}.",
    ),
    ENCYCLOPEDIA: (
        "[A fuller account|A different view] is given by {person}.",
        "[Scholars|Local people] [doubt|repeat] the rest of the story.",
        "See the [map|plate|table] on page {n}.",
        "The matter was [settled|disputed] in the year {year}.",
        "[Earlier|Foreign] writers are [silent|brief] on the subject.",
    ),
    LEDGER: (
        "[Paid|Owing|Settled in kind]: {n} coins.",
        "Carriage to {town}, {n} coins; [loss|breakage|damp], {n}.",
        "[Signed|Sealed] at {town}, {person}.",
        "[Weight short by {n} pounds|Measure correct|Goods sound].",
    ),
}

# Background that tells none of the facts above, by source and topic.
SCENES: Final[dict[str, tuple[Phrase, ...]]] = {
    "weather": (
        (
            ALMANAC,
            "{month} in {country}: [snow to the sills|a week of fog|mild, with swallows|hail the size of peas]. [Bring in the goats|Cover the vines|Leave the shutters open], and [keep an eye on the chimney|say nothing to the bees].",
        ),
        (
            DIARY,
            "The [wind|rain|heat] between {town} and {town} was such that {first} [wept|sang to keep awake|walked backwards]. We [hid in a barn|bought hats|shared one cloak] and waited [an hour|a night|for a change].",
        ),
        (
            LETTERS,
            "Such a [storm|frost|thaw] in {town}! The [roof of the school|old lime tree|baker's sign] came down, and {first} [found it|was under it, unhurt|laughed for a week].",
        ),
    ),
    "prices": (
        (
            LEDGER,
            "Bought of {person}, {n} [bales|crates|jars|sacks] of {good} at {n} coins; sold at {town} at {n}. [A fair gain|A small loss|No gain].",
        ),
        (
            LEDGER,
            "Warehouse at {town}: {good}, {n}; {good}, {n}; {good}, {n}. Rats have been at the {good}. [A second cat is advised|The keeper is dismissed].",
        ),
        (
            LETTERS,
            "You would not believe what they ask for {good} in {town}, [{n} coins the pound|more than a hen]. I bought {good} instead, and {first} [complained|was content].",
        ),
    ),
    "journeys": (
        (
            DIARY,
            "From {town} to {town}, {n} miles, on [a borrowed mule|the mail coach|our own feet]. The bridge was [down|guarded by geese|newly painted {colour}], so we [waded|paid|went round by {town}].",
        ),
        (
            DIARY,
            "Lost our way in the [woods|hills|back streets] near {town}. A [shepherd|nun|boy with a drum] set us right for {n} coins and half of {first}'s lunch, and [told us the history of his knees|wished us joy].",
        ),
        (
            GAZETTEER,
            "Post road, {town} to {town}: {n} stages. Change horses at {town}. Beware of [robbers|soft ground|the ferryman's brother] [after dark|in {month}].",
        ),
        (
            LETTERS,
            "We are safely back from {country}, [brown as nuts|thin as rakes|with {n} boxes and no keys]. {first} has brought you [a shawl|a tin whistle|some {good}], and a great many stories about {town}.",
        ),
    ),
    "households": (
        (
            LETTERS,
            "{first} is to marry {person} in {month}. The dress is {colour}, the cake has {n} eggs, and the [aunts|neighbours] are not speaking. I shall wear my [old coat|good shoes] and say as little as I can.",
        ),
        (
            ALMANAC,
            "To take out stains of [wine|ink|grass]: [lemon and salt|warm milk|ashes and patience]. To polish {colour} [tiles|boots|shutters]: half a cup of [oil|vinegar] and {n} minutes with a soft cloth.",
        ),
        (
            LEDGER,
            "Household of {person}, {month}: [candles|soap|flour], {n} coins; [the doctor|the piper|the roofer], {n}; [a new hat|a present|mending], {n}.",
        ),
        (
            LETTERS,
            "The [cat|goat|youngest] has eaten my copy of {book}, [all but the cover|as far as chapter {n}]. {first} says that it shows [good taste|no judgement].",
        ),
    ),
    "animals": (
        (
            DIARY,
            "A {animal} and a {animal} were [fighting|sleeping|staring at each other] in the lane outside {town}. {first} bet {n} coins on [the smaller|neither], and [won|lost].",
        ),
        (
            GAZETTEER,
            "Hunting rights near {town}: the {animal}, {n} coins; the {animal}, [forbidden|free to all]; [fish|birds], by leave of {person}.",
        ),
        (
            ENCYCLOPEDIA,
            "The {animal} is [often mistaken for|no relation of] the {animal}. {person} drew both, [from life|badly], in {n} plates. [The call is like a rusty hinge|Both sleep through the winter].",
        ),
    ),
    "learning": (
        (
            ENCYCLOPEDIA,
            "{person} and {person} [quarrelled|exchanged letters] for {n} years over [the age of the hills|the spelling of {town}|the number of the stars]. [Neither gave way|They died friends|The matter is still open].",
        ),
        (
            ENCYCLOPEDIA,
            "The library at {town} holds {n} books, among them {book} and {book}. [The reading room is heated|Readers must bring their own candles]. Its keeper, {person}, [lends nothing|forgets nothing].",
        ),
        (
            LETTERS,
            "At school we are learning the [rivers|kings|trees] of {country}. There are {n}, and {first} can say them [backwards|in one breath]. I prefer [drawing|my dinner|the window].",
        ),
    ),
    "buildings": (
        (
            GAZETTEER,
            "{town}: new [school|market hall|bath house], opened in {year} by {person}; {n} windows; doors painted {colour}. [The clock is slow|There is a small charge|Dogs are not admitted].",
        ),
        (
            DIARY,
            "The [inn|chapel|ferry house] at {town} is painted {colour} outside and {colour} within, and has {n} [clocks|cats|steps], all of them [loud|uneven]. The landlady is a cousin of {person}, and [says so often|looks it].",
        ),
        (
            LEDGER,
            "Repairs to the [roof|wall|well] at {town}: lime, {n} coins; timber, {n}; beer for the men, {n}. Overseer, {person}. [The work is good|The work is to be done again].",
        ),
    ),
}
