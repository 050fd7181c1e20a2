"""Makes a model for vLLM in a folder: a four-layer Llama of random weights, the same on every machine.

Runs in vLLM's own environment: `python tiny_model.py FOLDER`. Neither it nor its tokenizer has an end-of-text token, so
that how long an answer is depends on the request alone. Its vocabulary is bytes and a few words: text that means
nothing, with characters that are split over tokens.
"""

import sys

import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

WORDS = (
    "The queue waits while the slot is taken, and the task that came first is the task that runs first. naïve € 水 🦙"
)
# vLLM's attention on the CPU takes heads of 32 and more: one of 16 ends its engine at the first request.
WIDTH, HEADS, LAYERS, CTX_MAX = 256, 4, 4, 4096


def main(folder: str) -> None:
    """Write the model and its tokenizer."""
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator([WORDS] * 50, vocab_size=512, special_tokens=["<s>"])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=trained._tokenizer, bos_token="<s>")  # noqa: SLF001, S106 - no other way
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=CTX_MAX,
        bos_token_id=0,
        eos_token_id=None,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    main(sys.argv[1])
