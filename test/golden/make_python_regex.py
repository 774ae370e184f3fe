"""Writes what Python's re says about module patterns: [pattern, name, fullmatch, match], or [pattern, null] for an error."""
import json, random, re, sys, warnings
warnings.simplefilter("ignore")
NAMES = ["model.embed_tokens", "model.layers.0.self_attn.q_proj", "model.layers.11.mlp.down_proj", "model.norm", "lm_head", "model.layers.1.input_layernorm"]
HAND = [r".*\.(q_proj|v_proj)", r".*q_proj$", r"^(?!.*layers\.0).*(?:q|v)_proj$", r"model\.layers\.(0|1)\.self_attn\..*",
  r"(?:.*?(?:language|text).*?(?:self_attn|attention|attn|mlp|feed_forward|ffn|dense).*?(?:k_proj|v_proj|q_proj|out_proj|fc1|fc2|o_proj|gate_proj|up_proj|down_proj|correction_proj).*?)|(?:\bmodel\.layers\.[\d]{1,}\.(?:self_attn|attention|attn|mlp|feed_forward|ffn|dense)\.(?:(?:k_proj|v_proj|q_proj|out_proj|fc1|fc2|o_proj|gate_proj|up_proj|down_proj|correction_proj)))",
  r"lm_head|.*tokens", r"[^.]+", r"\w+(\.\w+)*", r"(a*)*b", r"(.*.*.*.*.*)x", r".{5,7}", r".{,7}", r".{,}", r"a{", r"a{}", r"a{x}", r"{2}", r"a{3,1}",
  r"\Amodel.*\Z", r".*\blayers\b.*", r".*\Battn.*", r"(?P<x>model).*", r"(?=model)m.*", r"[]a]", r"[^]a]+", r"[a-]+", r"[a\-z]+", r"[\w.]+", r"[z-a]", r"[\d-z]", r"[a", r"(", r")", r"a)|(b", r"*a", r"a**", r"a*?", r"a+?b", r"^*", r"\b+", r"(?=a)*m.*", r"", r"|", r"()", r"(|lm_head)", r"\.", r"\d", r"\p", r"\_", r"lm\_head", r"[\b]", r".*\s.*", r"(?:model\.){0,2}norm", r"((((((.*)*)*)*)*)*)*", r"(model|model\.layers)\.(norm|0.*)", r".*[0-9]+\.mlp\.[a-z_]+", r"m?odel.*", r"\\", "\\", r"[\]]"]
def random_pattern(rng, depth=0):
    kind = rng.randrange(12 if depth < 4 else 7)
    if kind < 4: return rng.choice([".", r"\.", "m", "o", "model", "proj", "layers", r"\d", r"\w", "0", "_", "attn"])
    if kind == 4: return rng.choice(["[a-z]", "[^.]", "[mlo]", r"[\d_]", "[]x]", r"\b", "^", "$", r"\B"])
    if kind < 7: return random_pattern(rng, depth + 1) + random_pattern(rng, depth + 1)
    if kind < 9: return rng.choice(["({})", "(?:{})", "(?={})", "(?!{})", "(?P<n>{})"][:2 + 3 * (depth == 0)]).format(random_pattern(rng, depth + 1))
    if kind == 9: return "(" + random_pattern(rng, depth + 1) + "|" + random_pattern(rng, depth + 1) + ")"
    return "(" + random_pattern(rng, depth + 1) + ")" + rng.choice(["*", "+", "?", "*?", "{1,2}", "{2}", "{,1}", "{0,3}", "+?"])
rng = random.Random(7)
patterns = HAND + [random_pattern(rng) + random_pattern(rng) + rng.choice(["", ".*", r".*\w"]) for _ in range(400)]
out = []
for p in dict.fromkeys(patterns):
    try: c = re.compile(p)
    except re.error: out.append([p, None]); continue
    if p in (r"(a*)*b", r"(.*.*.*.*.*)x", r"((((((.*)*)*)*)*)*)*"): pass
    out.append([p, [[int(bool(c.fullmatch(n))), int(bool(c.match(n)))] for n in NAMES]])
json.dump({"names": NAMES, "patterns": out}, open(sys.argv[1], "w"), separators=(",", ":"))
print(len(out), sum(x[1] is None for x in out))
