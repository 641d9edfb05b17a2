"""Makes golden models of families from their public definitions: make.py FOLDER [PART OF A FAMILY'S FUNCTION NAME]...

Needs numpy, torch and transformers; nothing of this project. The folders lie in tests/golden/arch already.
"""
import sys

import encoders
import gemma
import gpt
import llama_like
import plain
import plain_gemma
import plain_llama
import plain_sparse
import sparse


def main():
    root, wanted = sys.argv[1], sys.argv[2:]
    for family in llama_like.FAMILIES + gpt.FAMILIES + gemma.FAMILIES + encoders.FAMILIES + plain.FAMILIES + plain_gemma.FAMILIES + plain_llama.FAMILIES + plain_sparse.FAMILIES + sparse.FAMILIES:
        if not wanted or any(part in family.__name__ for part in wanted):
            family(root)


if __name__ == "__main__":
    main()
