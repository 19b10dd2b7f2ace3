"""How English and Portuguese words inflect: rules for the regular ones, tables for the rest."""

from __future__ import annotations

# Persons of a Portuguese verb, in the order of every table here: eu, ele, nós, eles.

# infinitive: (present, preterite, imperfect), four persons each; None = by rule.
_IRREGULAR: dict[str, tuple[str | None, str | None, str | None]] = {
    "ser": ("sou é somos são", "fui foi fomos foram", "era era éramos eram"),
    "estar": ("estou está estamos estão", "estive esteve estivemos estiveram", None),
    "ter": ("tenho tem temos têm", "tive teve tivemos tiveram", "tinha tinha tínhamos tinham"),
    "ir": ("vou vai vamos vão", "fui foi fomos foram", "ia ia íamos iam"),
    "ver": ("vejo vê vemos veem", "vi viu vimos viram", None),
    "ler": ("leio lê lemos leem", None, None),
    "fazer": ("faço faz fazemos fazem", "fiz fez fizemos fizeram", None),
    "trazer": ("trago traz trazemos trazem", "trouxe trouxe trouxemos trouxeram", None),
    "dizer": ("digo diz dizemos dizem", "disse disse dissemos disseram", None),
    "querer": ("quero quer queremos querem", "quis quis quisemos quiseram", None),
    "poder": ("posso pode podemos podem", "pude pôde pudemos puderam", None),
    "saber": ("sei sabe sabemos sabem", "soube soube soubemos souberam", None),
    "dar": ("dou dá damos dão", "dei deu demos deram", None),
    "sair": ("saio sai saímos saem", "saí saiu saímos saíram", "saía saía saíamos saíam"),
    "rir": ("rio ri rimos riem", "ri riu rimos riram", None),
    "sorrir": ("sorrio sorri sorrimos sorriem", "sorri sorriu sorrimos sorriram", None),
    "dormir": ("durmo dorme dormimos dormem", None, None),
    "cobrir": ("cubro cobre cobrimos cobrem", None, None),
    "descobrir": ("descubro descobre descobrimos descobrem", None, None),
    "preferir": ("prefiro prefere preferimos preferem", None, None),
    "seguir": ("sigo segue seguimos seguem", None, None),
    "perseguir": ("persigo persegue perseguimos perseguem", None, None),
    "medir": ("meço mede medimos medem", None, None),
    "ouvir": ("ouço ouve ouvimos ouvem", None, None),
    "perder": ("perco perde perdemos perdem", None, None),
    "construir": ("construo constrói construímos constroem", "construí construiu construímos construíram", None),
    "traduzir": ("traduzo traduz traduzimos traduzem", None, None),
}
_ENDINGS = {
    "ar": ("o a amos am", "ei ou amos aram", "ava ava ávamos avam"),
    "er": ("o e emos em", "i eu emos eram", "ia ia íamos iam"),
    "ir": ("o e imos em", "i iu imos iram", "ia ia íamos iam"),
}
_VOWELS = "aeiou"


def conjugate(infinitive: str) -> dict[str, tuple[str, str, str, str]]:
    """Present, preterite ("past") and imperfect of a Portuguese verb, for eu, ele, nós, eles."""
    stem, ending = infinitive[:-2], infinitive[-2:]
    irregular = _IRREGULAR.get(infinitive, (None, None, None))
    forms = {}
    for tense, listed, endings in zip(("present", "past", "imperfect"), irregular, _ENDINGS[ending], strict=True):
        words = listed.split() if listed else [_join(stem, ending, each) for each in endings.split()]
        forms[tense] = (words[0], words[1], words[2], words[3])
    return forms


def _join(stem: str, conjugation: str, ending: str) -> str:
    """Keep the stem's last sound before another vowel: tocar, toquei; colher, colho; proteger, protejo."""
    if conjugation == "ar" and ending[0] in "eé":
        if stem.endswith("ç"):
            return stem[:-1] + "c" + ending
        if stem.endswith("c"):
            return stem[:-1] + "qu" + ending
        if stem.endswith("g"):
            return stem + "u" + ending
    if conjugation in ("er", "ir") and ending[0] in "oa":
        if stem.endswith("c"):
            return stem[:-1] + "ç" + ending
        if stem.endswith("g"):
            return stem[:-1] + "j" + ending
    return stem + ending


def gerund(infinitive: str) -> str:
    """comprar -> comprando."""
    return infinitive[:-1] + "ndo"


def participle(infinitive: str) -> str:
    """comprar -> comprado, vender -> vendido (regular ones only)."""
    return infinitive[:-2] + ("ado" if infinitive.endswith("ar") else "ído" if infinitive.endswith("uir") else "ido")


def portuguese_plural(word: str) -> str:
    """Plural of a regular noun or adjective; of a phrase, the plural of its first word ("sala de aula")."""
    if " " in word:
        first, rest = word.split(" ", 1)
        return f"{portuguese_plural(first)} {rest}"
    if word.endswith("ão"):
        return word[:-2] + "ões"
    accented = any(letter in "áéíóúâêô" for letter in word)  # the accent is where the stress is: túnel, but hotel
    if word.endswith("el"):
        return word[:-2] + ("eis" if accented else "éis")
    if word.endswith("il"):
        return word[:-2] + ("eis" if accented else "is")
    if word.endswith("ol"):
        return word[:-2] + "óis"
    if word.endswith(("al", "ul")):
        return word[:-1] + "is"
    if word.endswith("m"):
        return word[:-1] + "ns"
    if word.endswith(("r", "z")):
        return word + "es"
    if word.endswith("ês"):
        return word[:-2] + "eses"
    if word.endswith("s"):  # ônibus, lápis, simples: the same; gás, país and the like are not used
        return word
    return word + "s"


def feminine(adjective: str) -> str:
    """Feminine of a masculine Portuguese adjective or participle: novo, nova; grande, grande."""
    if " " in adjective:
        return adjective
    if adjective.endswith("o"):
        return adjective[:-1] + "a"
    return adjective


def english_plural(word: str) -> str:
    """Plural of a regular English noun, of a phrase that of its last word."""
    if word.endswith(("s", "x", "ch", "sh")):
        return word + "es"
    if word.endswith("y") and word[-2] not in _VOWELS:
        return word[:-1] + "ies"
    return word + "s"


def third_person(verb: str) -> str:
    """he goes, she studies, it looks for: the first word of a verb with a particle inflects."""
    first, *rest = verb.split()
    if first == "have":
        first = "has"
    elif first.endswith(("s", "x", "ch", "sh", "o", "z")):
        first += "es"
    elif first.endswith("y") and first[-2] not in _VOWELS:
        first = first[:-1] + "ies"
    else:
        first += "s"
    return " ".join([first, *rest])


def ing(verb: str) -> str:
    """taking, reading, looking for. Verbs that double their last letter are listed in the lexicon or here."""
    first, *rest = verb.split()
    if first in ("run", "swim", "cut", "hug", "get", "put", "plan", "forget"):
        first += first[-1]
    elif first.endswith("e") and not first.endswith(("ee", "ye", "oe")):
        first = first[:-1]
    return " ".join([first + "ing", *rest])


def comparative(adjective: str) -> str:
    """bigger, heavier, nicer (only for adjectives marked -er in the lexicon)."""
    if adjective.endswith("y"):
        return adjective[:-1] + "ier"
    if adjective.endswith("e"):
        return adjective + "r"
    if adjective in ("big", "red", "sad", "thin", "fat", "wet"):
        return adjective + adjective[-1] + "er"
    return adjective + "er"


def takes_an(word: str) -> bool:
    """Whether the indefinite article before this English word is "an" (by sound, for our words)."""
    return word[0].lower() in _VOWELS and not word.lower().startswith(("uni", "use", "eu", "one"))
