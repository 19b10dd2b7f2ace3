"""Write pairs of a date in English words and its ISO 8601 form: train.tsv, dev.tsv and test.tsv, disjoint by date.

Usage: python recipes/dates/make_data.py FOLDER
"""

import random
import sys
from datetime import date, timedelta
from pathlib import Path

UNITS = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip
TENS = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth", "twenty": "twentieth", "thirty": "thirtieth",
}  # fmt: skip
MONTHS = [
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
]  # fmt: skip
FIRST, LAST = date(1500, 1, 1), date(2199, 12, 31)


def number(value: int) -> str:
    """0 to 99 in words."""
    if value < 20:
        return UNITS[value]
    tens, unit = divmod(value, 10)
    return TENS[tens] + (f"-{UNITS[unit]}" if unit else "")


def ordinal(value: int) -> str:
    """1 to 99 as an ordinal in words."""
    head, hyphen, last = number(value).rpartition("-")
    return head + hyphen + ORDINALS.get(last, last + "th")


def year(value: int, rng: random.Random) -> str:
    """A year as people say it: nineteen eighty-four, nineteen oh five, two thousand and nine."""
    century, rest = divmod(value, 100)
    if value // 1000 == 2 and value % 1000 < 10:
        return "two thousand" + (f" and {number(rest)}" if rest else "")
    if rest == 0:
        return f"{number(century)} hundred"
    if rest < 10:
        return f"{number(century)} {rng.choice(['oh', 'hundred and'])} {number(rest)}"
    return f"{number(century)} {number(rest)}"


def say(day: date, rng: random.Random) -> str:
    """One of several ways to say a date."""
    month, spoken_day, spoken_year = MONTHS[day.month - 1], ordinal(day.day), year(day.year, rng)
    text = rng.choice(
        [
            f"the {spoken_day} of {month}, {spoken_year}",
            f"the {spoken_day} of {month} in the year {spoken_year}",
            f"{month} the {spoken_day}, {spoken_year}",
            f"{month} {spoken_day}, {spoken_year}",
            f"{day:%A}, {month} the {spoken_day}, {spoken_year}",
        ]
    )
    return text[0].upper() + text[1:]


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random("dates")
    days = rng.sample(range((LAST - FIRST).days + 1), 12_000)
    for name, numbers in (("train", days[:10_000]), ("dev", days[10_000:11_000]), ("test", days[11_000:])):
        with (folder / f"{name}.tsv").open("w", encoding="utf-8", newline="\n") as file:
            for offset in numbers:
                day = FIRST + timedelta(days=offset)
                file.write(f"{say(day, rng)}\t{day.isoformat()}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
