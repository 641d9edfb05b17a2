"""Makes golden models of families from their public definitions: make.py FOLDER [PART OF A FAMILY'S FUNCTION NAME]...

Needs numpy, torch and transformers; nothing of this project. The folders lie in tests/golden/arch already.
"""
import sys

import encoders
import gemma
import gpt
import latent
import llama_like
import plain
import plain_gemma
import plain_layers
import plain_llama
import plain_sparse
import recurrent
import sparse


def main():
    root, wanted = sys.argv[1], sys.argv[2:]
    modules = (llama_like, gpt, gemma, encoders, latent, plain, plain_gemma, plain_layers, plain_llama, plain_sparse, recurrent,
               sparse)
    for family in [family for module in modules for family in module.FAMILIES]:
        if not wanted or any(part in family.__name__ for part in wanted):
            family(root)


if __name__ == "__main__":
    main()
