"""Commands that look into a model: look, align, heads."""

import json
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from regard.cli.options import FromOption, JsonOption, ReverseOption, ToOption, check_text, refuse_options, say
from regard.errors import ConfigError, InputError, TextError
from regard.formats.files import exists
from regard.streams import refuse_overwriting, stdin_chunks, writer

if TYPE_CHECKING:
    from regard.api import Model
    from regard.look.effects import Effects
    from regard.look.weights import Look, Matrix
    from regard.look.words import Line


def look(
    model: Annotated[Path, typer.Argument(help="Model folder or run folder.")],
    text: Annotated[
        list[str] | None,
        typer.Argument(metavar="TEXT...", help="A sentence, or several for a page; none: stdin's lines."),
    ] = None,
    target: Annotated[str | None, typer.Option(help="Its translation; none: the model's own.")] = None,
    kind: Annotated[str, typer.Option(help="cross (to the source; the default), encoder or decoder.")] = "",
    layer: Annotated[
        int | None, typer.Option(help="From 1, or from the end if negative; none: their mean (a page: the last).")
    ] = None,
    head: Annotated[int | None, typer.Option(help="From 1, or from the end if negative; none: their mean.")] = None,
    pieces: Annotated[bool, typer.Option("--pieces", help="Sub-word pieces, not words.")] = False,
    effects: Annotated[
        bool, typer.Option("--effects", help="Also what the translation loses without each source word.")
    ] = False,
    positions: Annotated[
        bool, typer.Option("--positions", help="Draw what the model knows of position; no TEXT, a picture as --out.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Page: .html; picture: .png, .svg, .pdf; none: in the terminal.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what the model attends to while it translates a sentence.

    Example: regard look runs/mine "The cat sleeps because it is tired." --out cat.html
    """
    import regard.api
    from regard.look import page, style

    check_text(*(text or []), target)
    is_page = out is not None and out.suffix.lower() in (".html", ".htm")
    if out is not None and is_page:  # a mistake shows before the long work
        page.check(out)
    elif out is not None:
        style.check(out, or_page=not positions)
    if layer == 0 or head == 0:
        raise ConfigError("--layer and --head count from 1; leave them out for the mean.")
    if positions:
        of_sentences = {"target": target, "kind": kind, "layer": layer, "head": head, "pieces": pieces}
        refuse_options("--positions", {**of_sentences, "effects": effects, "json": as_json})
        _draw_positions(model, text, out)
        return
    if is_page:
        refuse_options("a page, which has words and pieces and the numbers in it", {"pieces": pieces, "json": as_json})
    if target is not None and not target.strip():
        raise InputError("--target is empty. Give a translation, or leave it out for the model's own.")
    for each in text or []:
        if exists(Path(each)) and Path(each).is_file():
            raise InputError(f"{each}: is a file. Give its lines as standard input: < {each}")
    texts = text or [line for chunk in stdin_chunks() for line in chunk if line.strip()]
    if not texts or (len(texts) > 1 and (not is_page or target)):
        raise InputError(
            f"found {len(texts)} sentences. One is looked at, or several in a page (--out look.html) without --target."
        )
    translator = regard.api.load(model)
    looks = [_look_at(translator, each, target, number, len(texts)) for number, each in enumerate(texts, 1)]
    chosen = {"layer": _from_zero(layer), "head": _from_zero(head)}
    measured = [translator.effects(each, kind, **chosen) for each in looks] if effects else []
    if out is not None and is_page:
        carried = page.write_page(looks, out, effects=measured, kind=kind, **chosen)
        if carried:
            layers = "; ".join(
                f"{name} {', '.join(str(each + 1) for each in each_kind)}" for name, each_kind in carried.layers.items()
            )
            if carried.heads is None:
                say(f"not all layers fit into one page; it carries {layers}. Choose another with --kind and --layer.")
            else:
                heads = ", ".join("the mean of all" if each == page.MEAN else str(each + 1) for each in carried.heads)
                say(
                    f"not even one layer fits into one page; it carries {layers}, heads {heads}. Choose another with "
                    "--kind, --layer and --head."
                )
        say(f"page: {out}")
        return
    matrix = looks[0].matrix(kind, **chosen, pieces=pieces)
    if out is not None:
        _draw(matrix, looks[0].model, out)
    if as_json:
        typer.echo(json.dumps(_look_json(looks[0], matrix, kind, pieces, *measured), ensure_ascii=False))
        return
    if out is None:
        _print_matrix(looks[0], matrix)
    for each in measured:
        typer.echo("\n".join([*([] if out else [""]), *each.lines()]))


def _look_at(model: "Model", text: str, target: str | None, number: int, count: int) -> "Look":
    try:
        return model.look(text, target)
    except TextError as error:
        if count == 1:
            raise
        raise InputError(f"sentence {number:,} of {count:,}, {text[:40]!r}: {error}") from error


def _draw_positions(model: Path, text: list[str] | None, out: Path | None) -> None:
    import regard.api
    from regard.look import style
    from regard.look.positions import draw_positions

    if text or out is None:
        raise ConfigError("--positions takes no TEXT, and a picture as --out, such as positions.png.")
    style.check(out)
    loaded = regard.api.load(model)
    draw_positions(loaded.positions(), out, title=f"{loaded.name}: what it knows of position")
    say(f"picture: {out}")


def _draw(matrix: "Matrix", model: str, out: Path) -> None:
    from regard.look.matrix import draw_matrix
    from regard.look.style import missing_line

    missing = draw_matrix(
        matrix.weights,
        matrix.columns,
        matrix.rows,
        out,
        special_source=matrix.special_columns,
        special_target=matrix.special_rows,
        title=f"{model}: {matrix.title}" if model else matrix.title,
        note=matrix.note,
    )
    if missing:
        say(missing_line(out, missing))
    say(f"picture: {out}")


def _print_matrix(found: "Look", matrix: "Matrix") -> None:
    import shutil

    from regard.look.terminal import matrix_lines, visible

    typer.echo("\n".join([*(visible(text) for text in (found.source_text, found.target_text) if text), ""]))
    colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    width = shutil.get_terminal_size().columns if colours else 10_000
    typer.echo("\n".join(matrix_lines(matrix, width=width, colours=colours)))


def _look_json(
    found: "Look", matrix: "Matrix", kind: str, pieces: bool, measured: "Effects | None" = None
) -> dict[str, Any]:
    def of_side(line: "Line", special: Sequence[bool]) -> dict[str, Any]:
        groups = [[piece] for piece in range(len(line.pieces))] if pieces else [list(group) for group in line.groups]
        return {"pieces": list(line.pieces), "groups": groups, "special": list(special)}

    row_line, column_line = found.sides(kind)
    rows: dict[str, Any] = {
        "source": found.source_text,
        "target": found.target_text,
        "attention": matrix.title,
        "rows": list(matrix.rows),
        "columns": list(matrix.columns),
        # Which pieces make each row and column, and which of these are special tokens.
        "row_pieces": of_side(row_line, matrix.special_rows),
        "column_pieces": of_side(column_line, matrix.special_columns),
        "weights": [[round(float(weight), 6) for weight in row] for row in matrix.weights],
        "target_pieces": list(found.target.pieces),
        "log_probs": list(found.log_probs),  # of each target piece
        "log_probs_unit": "nats",
    }
    if measured is not None:
        rows["effects"] = {
            "words": list(measured.words),
            "attention": measured.attention.tolist(),
            "effect": measured.effect.tolist(),
            "losses": measured.losses.tolist(),
            "rank_correlation": None if math.isnan(measured.rank_correlation) else measured.rank_correlation,
        }
    return rows


def align(
    model: Annotated[Path, typer.Argument(help="Model folder or run folder.")],
    data: Annotated[
        list[str] | None, typer.Argument(metavar="DATA...", help="Pairs to align; none: those of --gold.")
    ] = None,
    gold: Annotated[
        str, typer.Option(help="Hand-made alignments (TSV: words, words, links) or world[:N], to score on.")
    ] = "",
    dev: Annotated[
        str, typer.Option(help="The same, to choose on what is read: layer, head, --shifted, --posterior.")
    ] = "",
    layer: Annotated[int | None, typer.Option(help="From 1; none: the mean, or chosen with --dev.")] = None,
    head: Annotated[int | None, typer.Option(help="From 1; none: the mean, or chosen with --dev.")] = None,
    shifted: Annotated[bool, typer.Option("--shifted", help="Read the attention after a word, not before it.")] = False,
    posterior: Annotated[
        bool,
        typer.Option("--posterior", help="Read where the last attention was, given the word that came of it; slower."),
    ] = False,
    method: Annotated[str, typer.Option(help="argmax or threshold.")] = "argmax",
    threshold: Annotated[float | None, typer.Option(help="Least weight of a link.")] = None,
    reverse_model: Annotated[Path | None, typer.Option(help="A model of the other direction, to combine with.")] = None,
    symmetrize: Annotated[
        str,
        typer.Option(
            help="With --reverse-model: agreement (if nothing is said), intersection, union or grow-diag-final-and."
        ),
    ] = "",
    untrained: Annotated[
        int | None,
        typer.Option(min=0, help="With --dev and --gold, models with random weights to make the same choice over (3)."),
    ] = None,
    reverse: Annotated[
        bool,
        typer.Option("--reverse", help="MODEL translates from the second side to the first, --reverse-model back."),
    ] = False,
    source_language: FromOption = "",
    target_language: ToOption = "",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the links here, not to stdout.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Align the words of sentence pairs by attention (i-j, counted from 0), and score it where gold is given.

    Example: regard align runs/mine --dev dev.gold.tsv --gold test.gold.tsv
    """
    import regard.api
    from regard.aligning import AGREEMENT, SYMMETRIZATIONS, Way, align_data
    from regard.config import one_of
    from regard.data.pairs import check_apart, files_of
    from regard.formats.links import format_links

    if symmetrize:
        one_of(symmetrize, SYMMETRIZATIONS, "symmetrization")
    if reverse_model is None:
        refuse_options("one direction alone", {"symmetrize": symmetrize})
    if not (dev and gold):
        refuse_options("alignments without --dev and --gold", {"untrained": untrained is not None})
    if bool(data) == bool(gold):
        raise InputError("align takes pairs to align (DATA), or pairs with gold links to be scored on (--gold).")
    if dev and (layer, head, shifted, posterior) != (None, None, False, False):
        raise ConfigError("--dev chooses what is read; leave out --layer, --head, --shifted and --posterior.")
    if posterior and (layer, head, shifted) != (None, None, False):
        raise ConfigError("--posterior reads all heads of the last layer; leave out --layer, --head and --shifted.")
    if layer == 0 or head == 0:
        raise ConfigError("--layer and --head count from 1; leave them out for the mean.")
    check_apart([dev] if dev else [], [gold] if gold else data or [])
    if out is not None:
        refuse_overwriting(out, files_of(filter(None, [*(data or []), gold, dev])))
    report, wrong = align_data(
        regard.api.load(model),
        data or [],
        gold=gold,
        dev=dev,
        reverse_model=regard.api.load(reverse_model) if reverse_model else None,
        reverse=reverse,
        languages=(source_language, target_language),
        way=Way(_from_zero(layer), _from_zero(head), shifted, posterior),
        method=method,
        threshold=threshold,
        symmetrization=symmetrize or AGREEMENT,
        seeds=3 if untrained is None else untrained,
        in_part=not (gold or as_json),
        note=say,
    )
    if out is not None or not (gold or as_json):
        with writer(out) as write:
            for links in report.links:
                write(format_links(links))
    if wrong is not None:
        raise wrong  # the links of the pairs before it are as good as ever
    if as_json:
        typer.echo(json.dumps(report.to_json()))
        return
    for line in report.lines():
        (typer.echo if gold else say)(line)


def heads(
    model: Annotated[Path, typer.Argument(help="Model folder or run folder.")],
    data: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="DATA...",
            help="Pairs to measure on, or files of GAP, WinoMT, Winogender or Winograd; none: world:500.",
        ),
    ] = None,
    find: Annotated[
        str,
        typer.Option(help="Which head does it best: coreference, candidate, alignment, previous, next or repeated."),
    ] = "",
    dev: Annotated[str, typer.Option(help="With --find, DATA to choose the head on (world:500).")] = "",
    reverse: ReverseOption = False,
    untrained: Annotated[
        int | None, typer.Option(min=0, help="With --find, models with random weights to do the same with (3).")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Picture: .png, .svg or .pdf.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure what each head of attention does: near or far, which word, the aligned word, the antecedent of a pronoun.

    Files of GAP, WinoMT, Winogender and Winograd are text without translation: there an encoder's own heads are
    measured, or a language model's; of pairs both read the source. Winograd's need a model that knows [MASK].

    Example: regard heads runs/mine gap-validation.tsv --find coreference --dev gap-development.tsv
    """
    import regard.api
    from regard import head_examples
    from regard import heads as roles_of
    from regard.data.pairs import check_apart
    from regard.look import style

    if out is not None:
        style.check(out)
    if find and find not in roles_of.FINDABLE:
        raise InputError(f"there is no role {find!r} to find. Known are {', '.join(roles_of.FINDABLE)}.")
    if not find:
        refuse_options("heads without --find", {"dev": dev, "untrained": untrained is not None})
    if find:
        check_apart([dev or "world:500"], data or ["world:500"])
    it_share = 1.0 if find in roles_of.ABOUT_PRONOUNS else 0.3
    loaded = regard.api.load(model)
    test = head_examples.read(loaded, data or ["world:500"], "test", it_share, say, reverse=reverse)
    to_choose_on = (
        head_examples.read(loaded, [dev or "world:500"], "dev", it_share, say, reverse=reverse) if find else None
    )
    files = [*(to_choose_on.files if to_choose_on else []), *test.files]
    for file in files:
        say(file.line())
    measured = roles_of.measure(loaded, test.examples)
    found = None
    if to_choose_on is not None:
        found = roles_of.find(
            loaded,
            find,
            to_choose_on.examples,
            test.examples,
            seeds=3 if untrained is None else untrained,
            rules=test.rules,
            measured=measured,
        )
    if out is not None:
        roles_of.draw(measured, out, title=f"{loaded.name}: what each head does", note=" ".join(data or ["world:500"]))
        say(f"picture: {out}")
    if as_json:
        rows = {
            "heads": roles_of.to_json(measured),
            "found": found.to_json() if found else None,
            "files": [file.to_json() for file in files],
        }
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    typer.echo("\n".join(roles_of.table(measured)))
    if found is not None:
        typer.echo("\n".join(["", *roles_of.found_lines(find, found)]))


def _from_zero(number: int | None) -> int | None:
    """Layers and heads count from 1 for people, from 0 in Python; negative ones from the end for both."""
    return number - 1 if number is not None and number > 0 else number
