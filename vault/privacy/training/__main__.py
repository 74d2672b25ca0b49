"""`python -m vault.privacy.training`: build the lexicon and the model, and print what to pin."""

import argparse
import hashlib
import sys
from pathlib import Path
from typing import Final

from vault.privacy.features import lexicon_flags, text_features
from vault.privacy.lexicon import LEXICON_FILE, load_lexicon
from vault.privacy.reading import Reading
from vault.privacy.tagger import MODEL_FILE, train
from vault.privacy.training.generator import Example, examples
from vault.privacy.training.lexicon import write_lexicon

ASSETS: Final = Path(__file__).parent.parent / "assets"
TEXTS: Final = 10_000
SEED: Final = 20_261_101
L1, L2, MINIMUM, ROUNDS = 1.0, 1.0, 3, 200


def main() -> None:
    """Build both files."""
    parser = argparse.ArgumentParser(description="Build the privacy gate's lexicon and model.")
    parser.add_argument("--texts", type=int, default=TEXTS, help="number of training texts")
    arguments = parser.parse_args()
    ASSETS.mkdir(exist_ok=True)
    write_lexicon(ASSETS / LEXICON_FILE)
    build_model(ASSETS / MODEL_FILE, ASSETS / LEXICON_FILE, arguments.texts)
    for name in (LEXICON_FILE, MODEL_FILE):
        content = (ASSETS / name).read_bytes()
        sys.stdout.write(f"{name}: {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}\n")


def build_model(path: Path, lexicon: Path, texts: int) -> None:
    """Train the tagger on `texts` generated texts."""
    flags_by_word = load_lexicon(hashlib.sha256(lexicon.read_bytes()).hexdigest())
    flags = lexicon_flags(flags_by_word)

    def rows(example: Example) -> list[list[str]]:
        found = Reading(example.text).found_by_rules()
        return text_features(
            example.words,
            example.text,
            found,
            lambda word: "" if word in example.hidden else flags(word),
            flags_by_word,
        )

    made = list(examples(texts, SEED))
    train(
        [rows(example) for example in made],
        [example.labels for example in made],
        path,
        l1=L1,
        l2=L2,
        minimum=MINIMUM,
        rounds=ROUNDS,
    )


if __name__ == "__main__":
    main()
