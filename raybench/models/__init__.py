"""Opening what a candidate names: references, configurations, tokenizers, backbones, heads, fingerprints."""
