"""Tags of words: figures of transformers' own run, entities as seqeval counts them, formats of files."""

import json
import random
from typing import Any

import pytest
import torch

import tilewright
from tilewright.runtime.tasks.texts.entities import entities, entity_f1, tag_accuracy
from tilewright.runtime.tasks.texts.tagged_sentences import read_sentences
from tilewright.targets.errors import InputError

TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
ONE_TIME: dict[str, Any] = {"times": ["1s"], "repeats": 1}
SENTENCES = [
    (["Ada", "Lovelace", "lived", "in", "Marylebone", "."], ["B-PER", "I-PER", "O", "O", "B-LOC", "O"]),
    (["Nobody", "was", "unimpressionable", "."], ["O", "O", "O", "O"]),
    (["Bruno", "de", "Finetti", ",", "Innsbruck"], ["B-PER", "I-PER", "I-PER", "O", "B-LOC"]),
    (["\u200b", "Oslo", "2024-05-01"], ["O", "B-LOC", "O"]),
]


@pytest.fixture(scope="module")
def tagger(small_model):
    from transformers import BertForTokenClassification

    return small_model(BertForTokenClassification, TAGS)


def tagged_by_transformers(folder, sentences):
    """Predicted and given tags of the words, as transformers' run_ner aligns them."""
    from transformers import AutoTokenizer, BertForTokenClassification

    tokenizer, model = AutoTokenizer.from_pretrained(folder), BertForTokenClassification.from_pretrained(folder)
    predicted, given = [], []
    for words, tags in sentences:
        encoded = tokenizer(words, is_split_into_words=True, truncation=True, max_length=64, return_tensors="pt")
        with torch.inference_mode():
            numbers = model(**encoded).logits[0].argmax(dim=-1).tolist()
        before, kept = None, []
        for token, word in enumerate(encoded.word_ids()):
            if word is not None and word != before:
                kept.append((TAGS[numbers[token]], tags[word]))
            before = word
        predicted.append([tag for tag, _ in kept])
        given.append([tag for _, tag in kept])
    return predicted, given


def numbered(sentences, tags=TAGS):
    return [[tags.index(tag) for tag in sentence] for sentence in sentences]


def write_conll(path, sentences):
    blocks = ["\n".join(f"{word} NN x {tag}" for word, tag in zip(*pair, strict=True)) for pair in sentences]
    path.write_text("-DOCSTART- -X- O O\n\n" + "\n\n".join(blocks) + "\n", encoding="utf-8")
    return path


def test_figures_are_those_of_transformers_own_run(tagger, tmp_path):
    folder, plan = tagger
    predicted, given = tagged_by_transformers(folder, SENTENCES)
    sentences = [(words, tags) for (words, _), tags in zip(SENTENCES, predicted, strict=True)]
    sentences = [(words, ["O"] * (len(words) - len(tags)) + tags) for words, tags in sentences]
    sentences[0] = SENTENCES[0]  # the model's own tags, but for one sentence: figures between none and all
    predicted, given = tagged_by_transformers(folder, sentences)
    file = write_conll(tmp_path / "dev.conll", sentences)
    pairs = [pair for one, two in zip(predicted, given, strict=True) for pair in zip(one, two, strict=True)]
    wanted = 100 * sum(one == two for one, two in pairs) / len(pairs)
    found = tilewright.evaluate(plan, "token-classification-accuracy", file, **ONE_TIME)
    assert found.digital == pytest.approx(wanted)
    assert 0 < wanted < 100
    assert found.chance == 20
    there, named = (
        {(number, *entity) for number, tags in enumerate(side) for entity in entities(tags)}
        for side in (predicted, given)
    )
    wanted = 200 * len(there & named) / (len(there) + len(named))
    found = tilewright.evaluate(plan, "token-classification", file, **ONE_TIME)
    assert found.digital == pytest.approx(wanted)
    assert 0 < wanted < 100
    assert found.metric == "entity F1 x 100"
    assert found.examples == len(SENTENCES)


def test_words_beyond_the_longest_text_are_not_counted_and_said(tagger, tmp_path):
    """Words beyond the model's 64 tokens, two marks and 62 words here, are not counted, as in transformers' run_ner."""
    folder, plan = tagger
    words = [random.Random(3).choice(["cat", "dog", "sea"]) for _ in range(70)]
    sentences = [*SENTENCES, (words, ["B-LOC", "O"] * 35)]
    predicted, given = tagged_by_transformers(folder, sentences)
    assert len(given[-1]) == 62
    file = write_conll(tmp_path / "dev.txt", sentences)
    found = tilewright.evaluate(plan, "token-classification-accuracy", file, **ONE_TIME)
    assert found.digital == pytest.approx(tag_accuracy(5)(numbered(predicted), numbered(given)))
    assert found.metric == "accuracy of tags, %, words cut off: 8"


def test_the_same_sentences_in_every_format(tagger, tmp_path):
    import pyarrow
    import pyarrow.parquet

    _, plan = tagger
    rows = [{"tokens": words, "tags": tags} for words, tags in SENTENCES]
    numbers = [{"tokens": words, "ner_tags": numbered([tags])[0]} for words, tags in SENTENCES]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    (tmp_path / "b.jsonl").write_text("\n".join(map(json.dumps, numbers)))
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(numbers), tmp_path / "c.parquet")
    files = [
        write_conll(tmp_path / "d.conll", SENTENCES),
        *(tmp_path / name for name in ("a.json", "b.jsonl", "c.parquet")),
    ]
    found = [tilewright.evaluate(plan, "token-classification", file, **ONE_TIME) for file in files]
    assert len({one.data for one in found}) == 1
    assert len({one.digital for one in found}) == 1
    tabbed = tmp_path / "e.txt"
    tabbed.write_text("New York\tB-LOC\n\n\nis\tO\r\nbig\tO", encoding="utf-8")
    assert read_sentences(tabbed, None, "tokens", None) == [(["New York"], ["B-LOC"]), (["is", "big"], ["O", "O"])]
    assert read_sentences(tabbed, 1, "tokens", None) == [(["New York"], ["B-LOC"])]


def drawn(seed, tags):
    """Sentences of random tags, and tags that agree with six of ten of them."""
    chance = random.Random(seed)
    wanted = [[chance.choice(tags) for _ in range(chance.randrange(0, 12))] for _ in range(40)]
    found = [[tag if chance.random() < 0.6 else chance.choice(tags) for tag in sentence] for sentence in wanted]
    return wanted, found


@pytest.mark.parametrize(
    ("tags", "seed", "of_seqeval"),
    [
        (TAGS, 0, (62.06896551724138, 66.40316205533597)),
        (TAGS, 1, (65.7439446366782, 71.22641509433963)),
        (TAGS, 2, (59.388646288209614, 63.1578947368421)),
        ((*TAGS, "E-LOC", "S-PER"), 0, (65.05376344086021, 64.1732283464567)),
        ((*TAGS, "E-LOC", "S-PER"), 1, (66.43835616438358, 70.44334975369459)),
        ((*TAGS, "E-LOC", "S-PER"), 2, (71.48014440433212, 69.66292134831461)),
    ],
    ids=str,
)
def test_figures_of_seqeval(tags, seed, of_seqeval):
    """f1_score and accuracy_score of seqeval 1.2.2, x 100, on the same tags."""
    wanted, found = (numbered(sentences, tags) for sentences in drawn(seed, tags))
    figures = entity_f1(tags)(found, wanted), tag_accuracy(len(tags))(found, wanted)
    assert figures == pytest.approx(of_seqeval, abs=1e-10)


def test_entities_of_tags():
    assert entities(["B-A", "I-A", "O", "I-A", "I-B", "B-B"]) == {(0, 1, "A"), (3, 3, "A"), (4, 4, "B"), (5, 5, "B")}
    assert entities(["S-A", "I-A", "E-A", "I-A"]) == {(0, 0, "A"), (1, 2, "A"), (3, 3, "A")}
    assert entities([]) == set()
    assert entity_f1(TAGS)([[0, 0]], [[0, 0]]) == 0


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.conll", "Oslo B-LOC\nin B-TIME\n", "label 'B-TIME' is no class of the model; did you mean 'B-PER'"),
        ("a.conll", "Oslo B-LOC\nin\n", "line 2 has no tag"),
        ("a.conll", "Oslo NNP B-LOC\nin O\n", "line 2 has 2 columns, those before have 3"),
        ("a.conll", "-DOCSTART- -X- O\n\n", "has no sentences"),
        ("a.conll", "\u200b O\n", "none of the sentences has a word"),
        ("a.json", [{"tokens": ["a"], "tags": ["O", "O"]}], "row 1 has 1 tokens and 2 tags"),
        ("a.json", [{"tokens": "a", "tags": ["O"]}], "row 1: tokens is no list"),
        ("a.json", [{"tokens": ["a"], "tag": ["O"]}], "row 1 has no column 'tags'; did you mean 'tag'"),
        ("a.json", [{"tokens": ["a"], "tags": [5]}], "label '5' is no class of the model"),
        ("a.json", [{"words": ["a"], "tags": [1]}], "row 1 has no column 'tokens'"),
    ],
)
def test_sentences_that_are_none(tagger, tmp_path, name, content, words):
    text = content if isinstance(content, str) else json.dumps(content)
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=words):
        tilewright.evaluate(tagger[1], "token-classification", tmp_path / name)


def test_models_without_entities(small_model, classifier, tmp_path):
    from transformers import BertForTokenClassification

    file = write_conll(tmp_path / "dev.conll", [(["a", "b"], [1, 0])])
    _, numbers = small_model(BertForTokenClassification, 2)
    with pytest.raises(InputError, match="names of its tags; measure token-classification-accuracy"):
        tilewright.evaluate(numbers, "token-classification", file)
    assert tilewright.evaluate(numbers, "token-classification-accuracy", file, **ONE_TIME).chance == 50
    with pytest.raises(InputError, match="tag 'NOUN' is not of the form B-KIND, I-KIND or O"):
        entity_f1(["O", "NOUN"])
    with pytest.raises(InputError, match=r"logits of shape \[batch, sequence, classes\]; the plan's are \[batch, 2\]"):
        tilewright.evaluate(classifier(2)[1], "token-classification", file)
    with pytest.raises(InputError, match=r"logits of shape \[batch, classes\]; the plan's are \[batch, sequence, 2\]"):
        tilewright.evaluate(numbers, "text-classification", file)


def test_bytes_see_a_space_before_every_word(tmp_path):
    """RoBERTa's tokens of a word are those of the word inside a text, as run_ner has them."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import AutoTokenizer, RobertaConfig, RobertaForTokenClassification, RobertaTokenizerFast

    from tilewright.runtime.tasks.texts.words import WordEncoder

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer.train_from_iterator(
        ["the sea and the cat"] * 9, trainers.BpeTrainer(special_tokens=special, vocab_size=400,
                                                         initial_alphabet=pre_tokenizers.ByteLevel.alphabet()),
    )  # fmt: skip
    plain = RobertaTokenizerFast(tokenizer_object=tokenizer)
    plain.save_pretrained(tmp_path)
    config = RobertaConfig(
        vocab_size=len(plain), hidden_size=64, num_hidden_layers=1, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=514, num_labels=2,
    )  # fmt: skip
    RobertaForTokenClassification(config).eval().save_pretrained(tmp_path)
    words = ["the", "sea", "cat"]
    prefixing = AutoTokenizer.from_pretrained(tmp_path, add_prefix_space=True)
    wanted = prefixing(words, is_split_into_words=True)["input_ids"]
    assert wanted != plain(words, is_split_into_words=True)["input_ids"]
    (found,) = WordEncoder(tilewright.compile(tmp_path)).encode_words([words])
    assert found.inputs["input_ids"][: len(wanted)].tolist() == wanted
    assert found.words == [0, 1, 2]
