"""Text is cut as the model's tokenizer.json says, whatever transformers makes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers import Tokenizer as Backend

from whence.errors import MismatchError, NotFoundError
from whence_backends.models import Tokenizer, locate_model
from whence_backends.models.source import ModelLocation
from whence_backends.models.text import gguf_tokenizer as gguf
from whence_backends.models.text import tokenizer_files
from whence_backends.models.text.probes import PROBES

TEXTS = ["the year 2023 and 1999 and 123456789", "The owl keeps the light in the tower."] * 40
TEXT = "In 2023 the OWL saw 123456789  lights.\n\nThe end e\u0301"


def make_backend(
    *, normalizer: Any = None, cut: Any = None, prefix: bool = False, model: Any = None, specials: tuple[str, ...] = ()
) -> Backend:
    """A byte-level tokenizer with a pre-tokenizer that no class of transformers has."""
    backend = Backend(model or models.BPE())
    backend.normalizer = normalizer
    split = cut or pre_tokenizers.Split(Regex(r"\p{N}{1,3}|[^\r\n\p{L}\p{N}]?\p{L}+|\s+|."), "isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=False)
    backend.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<|end|>", *specials], initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(TEXTS, trainer)
    return backend


def save(backend: Backend, folder: Path, *, model_type: str | None = "qwen2", **config: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    backend.save(str(folder / "tokenizer.json"))
    special = {"bos_token": "<|end|>", "eos_token": "<|end|>", "unk_token": "<|end|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps({**special, **config}))
    if model_type:
        (folder / "config.json").write_text(json.dumps({"model_type": model_type, "vocab_size": 400}))
    return folder


def load(folder: Path) -> Tokenizer:
    return Tokenizer.load(locate_model(str(folder), weights=False))


def ids(backend: Backend, text: str) -> list[int]:
    return backend.encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize(
    ("name", "model_type"),
    [
        ("Qwen2Tokenizer", "qwen2"),
        ("GemmaTokenizer", "gemma2"),
        ("CodeLlamaTokenizer", "llama"),
        ("CohereTokenizer", "cohere"),
        ("GPT2Tokenizer", "gpt2"),
        ("RobertaTokenizer", "roberta"),
        ("T5Tokenizer", "t5"),  # cannot read such a file
        ("TokenizerOfNextYear", "qwen2"),
        ("ByT5Tokenizer", None),  # not a fast one
        (None, "qwen2"),
    ],
)
def test_text_is_cut_as_in_tokenizer_json_whatever_class_is_named(
    name: str | None, model_type: str | None, tmp_path: Path
) -> None:
    """And again from where it was saved, as from an export. Broken by: taking what transformers rebuilds."""
    backend = make_backend(specials=("<|endoftext|>",))
    named = {"tokenizer_class": name} if name else {}
    tokenizer = load(save(backend, tmp_path / "model", model_type=model_type, **named))
    tokenizer.save(tmp_path / "export")
    again = Tokenizer.load(ModelLocation(reference="export", path=tmp_path / "export", kind="export"))
    for text in (TEXT, *PROBES):
        assert tokenizer.encode(text)[0] == again.encode(text)[0] == ids(backend, text)
    assert again.digest == tokenizer.digest


def test_a_part_that_differs_where_no_text_tried_shows_it_is_the_files_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken by: trusting the texts alone."""
    monkeypatch.setattr(tokenizer_files, "_other_cut", lambda *_: "")
    backend = make_backend(specials=("<|endoftext|>",))
    folder = save(backend, tmp_path / "model", model_type="gpt2", tokenizer_class="GPT2Tokenizer")
    assert load(folder).encode(TEXT)[0] == ids(backend, TEXT)


def test_a_tokenizer_that_is_code_of_its_own_is_not_taken_for_its_file(tmp_path: Path) -> None:
    code = {"AutoTokenizer": [None, "tokenization.Own"]}
    folder = save(make_backend(), tmp_path / "model", model_type=None, tokenizer_class="Own", auto_map=code)
    with pytest.raises(NotFoundError):
        load(folder)


@pytest.mark.parametrize(
    "changed",
    [
        {"normalizer": normalizers.Lowercase()},
        {"normalizer": normalizers.NFKC()},
        {"normalizer": normalizers.StripAccents()},
        {"prefix": True},
        {"cut": pre_tokenizers.Digits(individual_digits=True)},
    ],
)
def test_what_a_class_would_drop_is_kept(changed: dict[str, Any], tmp_path: Path) -> None:
    backend = make_backend(**changed)
    tokenizer = load(save(backend, tmp_path / "model", tokenizer_class="Qwen2Tokenizer"))
    assert [tokenizer.encode(text)[0] for text in (*PROBES, TEXT)] == [ids(backend, text) for text in (*PROBES, TEXT)]


def test_a_tokenizer_that_is_rebuilt_truly_stays_the_class_that_the_model_names(tmp_path: Path) -> None:
    folder = save(make_backend(), tmp_path / "model", model_type=None, tokenizer_class="PreTrainedTokenizerFast")
    assert load(folder).encode(TEXT)[0] == ids(Backend.from_file(str(folder / "tokenizer.json")), TEXT)


def test_special_tokens_and_chat_template_survive_the_mending(tmp_path: Path) -> None:
    backend = make_backend(specials=("<|endoftext|>", "<tool>"))
    config = {
        "tokenizer_class": "Qwen2Tokenizer",
        "chat_template": "{% for m in messages %}{{ m.content }}{% endfor %}",
    }
    folder = save(backend, tmp_path / "model", **config, eos_token="<|endoftext|>")
    tokenizer = load(folder)
    assert (tokenizer.bos_id, tokenizer.eos_id) == (0, 1)
    assert tokenizer.has_chat_template
    assert tokenizer.encode("a<tool>b")[0] == ids(backend, "a<tool>b")


def test_a_token_that_a_class_adds_of_itself_is_not_added(tmp_path: Path) -> None:
    """It would have an id past the embeddings. Broken by: taking class defaults for tokens of the model."""
    backend = make_backend()
    folder = save(backend, tmp_path / "model", tokenizer_class="Qwen2Tokenizer")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "Qwen2Tokenizer"}')
    tokenizer = load(folder)
    assert tokenizer.vocabulary_size == backend.get_vocab_size()
    assert tokenizer.encode("<|endoftext|>")[0] == ids(backend, "<|endoftext|>")


def test_a_token_that_the_files_add_is_kept(tmp_path: Path) -> None:
    backend = make_backend()
    size = backend.get_vocab_size()
    added = {str(size): {"content": "<|tool|>", "special": True, "normalized": False}}
    folder = save(backend, tmp_path / "model", tokenizer_class="Qwen2Tokenizer", added_tokens_decoder=added)
    assert load(folder).encode("a <|tool|>")[0][-1] == size


def test_added_tokens_keep_their_ids_and_their_spaces(tmp_path: Path) -> None:
    backend = make_backend()
    backend.add_tokens([AddedToken("<a>", lstrip=True, rstrip=True), AddedToken("<b>", single_word=True)])
    tokenizer = load(save(backend, tmp_path / "model", tokenizer_class="Qwen2Tokenizer"))
    for text in ("x <a> y", "x<b>y", "x <b> y"):
        assert tokenizer.encode(text)[0] == ids(backend, text)


@pytest.mark.parametrize("name", ["LlamaTokenizer", "Qwen2Tokenizer", "PreTrainedTokenizerFast"])
def test_what_tokenizer_json_says_of_a_special_token_holds_whatever_the_configuration_says(
    name: str, tmp_path: Path
) -> None:
    """Models of Llama's kind were saved so: marks of the two files differ. Broken by: refusing them, or the marks."""
    backend = make_backend(normalizer=normalizers.Prepend("_"), specials=("<s>",))
    bos = {"content": "<s>", "normalized": True, "lstrip": True, "rstrip": True, "special": True}
    marks = {"bos_token": {"__type": "AddedToken", **bos}, "added_tokens_decoder": {"1": bos}, "legacy": True}
    folder = save(backend, tmp_path / "model", model_type=None, tokenizer_class=name, **marks)
    tokenizer = load(folder)
    for text in ("a <s> b", "a<s>b", "<s>a", " <s> "):
        assert tokenizer.encode(text)[0] == ids(backend, text)
    assert tokenizer.bos_id == backend.token_to_id("<s>")
    tokenizer.save(tmp_path / "export")
    again = Tokenizer.load(ModelLocation(reference="export", path=tmp_path / "export", kind="export"))
    assert again.digest == tokenizer.digest


def test_dropped_merges_truncation_and_padding_are_no_part_of_it(tmp_path: Path) -> None:
    """Broken by: leaving BPE dropout on, which cuts a text otherwise each time."""
    backend = make_backend()
    whole = ids(backend, TEXT)
    backend.model.dropout = 0.9
    backend.enable_truncation(4)
    backend.enable_padding(length=64)
    folder = save(backend, tmp_path / "model", model_type=None, tokenizer_class="PreTrainedTokenizerFast")
    tokenizer = load(folder)
    assert [tokenizer.encode(TEXT)[0] for _ in range(4)] == [whole] * 4
    assert load(folder).digest == tokenizer.digest


def test_what_cannot_be_brought_together_is_refused_with_the_text_that_shows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save(make_backend(), tmp_path / "model", tokenizer_class="Qwen2Tokenizer")
    other = make_backend(specials=("<first>",))
    monkeypatch.setattr(tokenizer_files, "_from_pretrained", lambda *_, **__: Holder(other))
    with pytest.raises(MismatchError, match="has the id") as caught:
        load(folder)
    assert caught.value.reason == "TOKENIZER_MISMATCH"


def test_a_model_without_tokenizer_json_says_that_nothing_vouches_for_it(tmp_path: Path) -> None:
    folder = save(make_backend(), tmp_path / "model", model_type=None, tokenizer_class="GPT2Tokenizer")
    assert load(folder).unverified == ""
    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{' '.join(pair)}\n" for pair in model["merges"]))
    (folder / "tokenizer.json").unlink()
    assert "no tokenizer.json" in load(folder).unverified


@pytest.mark.parametrize(
    ("kind", "rule", "digits", "said"),
    [
        ("gpt2", "smollm", True, ""),
        ("gpt2", "gpt-2", False, ""),
        ("gpt2", "qwen2", False, ""),
        ("llama", "", False, ""),
        ("gpt2", "from-next-year", False, "'from-next-year', which is not known here"),
        ("gpt2", "", False, "does not say it"),
    ],
)
def test_a_gguf_file_is_cut_as_it_says_or_one_is_told(
    kind: str, rule: str, digits: bool, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken by: GPT-2's rule for whatever transformers does not know, which loses the blank lines before digits."""
    monkeypatch.setattr(gguf, "_stated", lambda _: (kind, rule))
    pretrained = Holder(make_backend())
    pretrained.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    assert said in gguf.cut_as_the_file_says(pretrained, tmp_path)
    pieces = [piece for piece, _ in pretrained.backend_tokenizer.pre_tokenizer.pre_tokenize_str("a\n\n12")]
    assert pieces == (["a", "ĊĊ", "1", "2"] if digits else ["a", "Ċ", "Ċ", "12"])


class Holder:
    """What has a backend, as transformers' tokenizers do."""

    is_fast = True
    special_tokens_map: ClassVar[dict[str, str]] = {}

    def __init__(self, backend: Backend) -> None:
        self.backend_tokenizer = backend
