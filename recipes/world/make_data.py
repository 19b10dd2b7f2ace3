"""Write training pairs of the built-in corpus, most of them with an *it* to resolve.

Usage: python recipes/world/make_data.py FILE.tsv [FILE.links]

`world:N` has such a sentence in ten pairs three times, a text as it comes; here it is seven times, so that half an hour
teaches more of what the recipe is about. In half of them both candidates have one gender, as in real text they may:
where they never have, the gender of any one noun tells that of the other. FILE.links gets their word alignments, for
`regard train --alignments`.
"""

import sys
from contextlib import nullcontext
from pathlib import Path

from regard.data import world
from regard.formats.links import format_links
from regard.streams import writer

PAIRS, IT_SHARE, SAME_GENDER_SHARE = 200_000, 0.7, 0.5


def main(path: Path, links: Path | None = None) -> None:
    with writer(path) as write, writer(links) if links else nullcontext() as write_links:
        for pair in world.generate("train", PAIRS, it_share=IT_SHARE, same_gender_share=SAME_GENDER_SHARE):
            write(f"{pair.source}\t{pair.target}")
            if write_links:
                write_links(format_links(world.links_between_words(pair)))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
