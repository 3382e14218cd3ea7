"""Short texts on which different normalizers and pre-tokenizers give different tokens."""

# ruff: noqa: RUF001 - some of these test letters that look alike

from __future__ import annotations

from typing import Final

PROBES: Final = (
    # Words, capitals, contractions.
    "The owl keeps the light.", "the owl", " the owl", "OWL Owl oWL", "HTTPServerError",
    "don't we'll I'm they've you'd", "DON'T We'Ll it’s", "naïve café", "re-enter e-mail", "Straße STRASSE",
    "ﬁne ﬂow", "ⅷ ² ½ ①",
    # Spaces, newlines, tabs.
    "  two", "   three", "    four", "a  b", "a   b", "end ", "end  ", " ", "  ", "        ", "\n", "\n\n",
    "\n\n\n", "a\nb", "a\n\nb", "a \n b", "a\n  b", "\ta", "\t\ta", "a\tb", "a\r\nb", "\r\n\r\n", "a\x0bb\x0cc",
    "a\xa0b", "a\u2003b", "a\u3000b", "\u2028a\u2029", "a\n\n1. b", "- a\n- b\n\n\n c",
    # Digits.
    "1", "12", "123", "1234", "12345", "123456789", "In 2023 and 1999", "a  2023", "3.14159", "1,000,000",
    "-5 + 7 = 2", "v1.2.3-rc4", "0x1F", "1e-5", "٣٤٥", "१२३", "x1y22z333", "(1999)", "$100 €5 50%",
    # Punctuation and code.
    "!!!", "...", "?!", "\"quoted\" 'single'", "(a) [b] {c} <d>", "a_b a__b _a", "a/b\\c", "#tag @name",
    "http://a.b/c?d=e&f=g", "def f(x):\n    return x**2", "if (a && b) {\n\tc();\n}", '<div class="x">&amp;</div>',
    "// a\n/* b */", "a->b::c <= d", "```python\nx = 1\n```", "—–-", "“quoted”", "…", "\\n\\t", "a|b", "~`^",
    # Scripts, combining marks, invisible characters.
    "東京の朝", "你好，世界！", "中文 English 中文", "안녕하세요", "カタカナ ｶﾀｶﾅ", "Привет мир", "Καλημέρα",
    "שלום עולם", "مرحبا بالعالم", "नमस\u094dत\u0947 द\u0941निया", "สว\u0e31สด\u0e35", "e\u0301", "é", "A\u030a",
    "Å", "Å", "Z\u0351\u0343a\u0300\u0323lgo", "ﷺ", "İi ıI", "🎉", "👩\u200d🚀", "🏳\ufe0f\u200d🌈 🇩🇪", "a🎉b",
    "𝕳𝖊𝖑𝖑𝖔", "a\u200bb", "a\u200db", "\ufeffa", "a\xadb", "\u202ea\u202c", "Ａｂｃ１２３", "\x00\x01", "\x7f", "�",
    # Special tokens, and the markers of tokenizers.
    "<s>", "</s>", "<unk>", "<pad>", "<|endoftext|>", "<|im_start|>user", "[INST] a [/INST]", "[CLS] a [SEP]",
    "<bos>a<eos>", "<0x0A>", "▁a ▁", "Ġa", "Ċ", "##a", "a</w>",
)  # fmt: skip
