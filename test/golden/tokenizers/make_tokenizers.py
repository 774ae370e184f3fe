"""Small tokenizers in the manner of the common families, and what they make of texts: `python make_tokenizers.py`.

Needs tokenizers (0.22 wrote what is stored). Every file holds a tokenizer.json, the spellings of its control tokens, and
the ids of each text.
"""

import json
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

HERE = Path(__file__).parent
CORPUS = [
    "The quick brown fox jumps over the lazy dog. It's 12:30, isn't it?",
    "user assistant system end start of turn im_start im_end think tool call INST s eot id header",
    "def f(x):\n    return x + 1\n\nprint(f(41))\n",
    "Straße, naïve café, 日本語のテキスト, emoji 🙂.",
    "<b>bold</b> | pipes || and <angle> brackets [square] /slash\\",
] * 4
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def byte_level(special, pattern=None, normalizer=None, more=()):
    tokenizer = Tokenizer(models.BPE(ignore_merges=pattern is not None))
    if normalizer:
        tokenizer.normalizer = normalizer
    if pattern:
        split = pre_tokenizers.Split(Regex(pattern), "isolated")
        byte = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=420, initial_alphabet=alphabet, show_progress=False))
    tokenizer.add_special_tokens(special)
    tokenizer.add_tokens(list(more))
    return tokenizer


def sentencepiece_bpe(special, normalizer, pre_tokenizer, more=()):
    names = [token.content for token in special]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    trained = Tokenizer(models.BPE(unk_token="<unk>"))
    trained.normalizer = normalizer or normalizers.Replace(" ", "▁")
    trained.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=300, show_progress=False))
    model = json.loads(trained.to_str())["model"]
    vocab = ["<unk>"] + [name for name in names if name != "<unk>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    vocab += [token for token in sorted(model["vocab"], key=model["vocab"].get) if token not in vocab]
    merges = [tuple(merge) for merge in model["merges"]]
    tokenizer.model = models.BPE(
        {token: i for i, token in enumerate(vocab)}, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True
    )
    if normalizer:
        tokenizer.normalizer = normalizer
    if pre_tokenizer:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens(special)
    tokenizer.add_tokens(list(more))
    return tokenizer


def unigram(special):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    names = ["<unk>"] + [token.content for token in special]
    trainer = trainers.UnigramTrainer(vocab_size=220, unk_token="<unk>", special_tokens=names, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_special_tokens(special)
    return tokenizer


def control(*contents, **flags):
    return [AddedToken(content, normalized=flags.pop("normalized", False), **flags) for content in contents]


def families():
    llama3 = control("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
    yield "llama3", byte_level(llama3, LLAMA3), llama3
    gpt2 = control("<|endoftext|>")
    yield "gpt2", byte_level(gpt2), gpt2
    qwen = control("<|im_start|>", "<|im_end|>")
    plain = [AddedToken("<think>", special=False, normalized=False), AddedToken("</think>", special=False, normalized=False)]
    yield "qwen", byte_level(qwen, LLAMA3, normalizers.NFC(), plain), qwen
    phi = control("<|user|>", "<|assistant|>", "<|end|>", rstrip=True)
    prepend = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    yield "phi", sentencepiece_bpe(phi, prepend, None), phi
    llama2 = control("<unk>", "<s>", "</s>")
    yield "llama2", sentencepiece_bpe(llama2, prepend, None), llama2
    mistral = control("<unk>", "<s>", "</s>", "[INST]", "[/INST]")
    yield "mistral", sentencepiece_bpe(mistral, None, pre_tokenizers.Metaspace(prepend_scheme="first", split=False)), mistral
    gemma = control("<bos>", "<start_of_turn>", "<end_of_turn>")
    newlines = [AddedToken("\n\n", special=False, normalized=False), AddedToken("<b>", special=False, normalized=False)]
    yield "gemma", sentencepiece_bpe(gemma, normalizers.Replace(" ", "▁"), None, newlines), gemma
    forms = [AddedToken(content, normalized=True) for content in ("<s>", "</s>", "<sep>")]
    yield "unigram", unigram(forms), forms


def texts(names):
    first, last = names[-1], names[0]
    return [
        "Hello world",
        f"{first}user\nHi there, it's 12:30.{last}\n{first}assistant\n",
        f"{last} {first}  two  spaces {last}",
        f"{first}\n\n<b>naïve</b> 日本語 🙂 <think>x</think>\n\n{last}{first}",
        f"a{first}b{last}c",
        "    def f():\n        pass\n",
    ]


def main():
    for name, tokenizer, special in families():
        names = [token.content for token in special if token.content != "<unk>"]
        cases = [
            {"text": text, "ids": tokenizer.encode(text, add_special_tokens=False).ids} for text in texts(names)
        ]
        file = {"control": names, "tokenizer": json.loads(tokenizer.to_str()), "cases": cases}
        (HERE / f"{name}.json").write_text(json.dumps(file, ensure_ascii=True) + "\n", "utf-8")
        print(name, tokenizer.get_vocab_size())


main()
