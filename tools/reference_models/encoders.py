"""Encoders, whose positions see all of their text, and a classifier."""
import torch
import transformers

import golden
import hf
from hf import make
from llama_like import SMALL, fused_qkv

ENCODER = {"attention.causal": False}


def modern_bert(root):
    config = dict(hidden_size=32, intermediate_size=24, num_hidden_layers=4, num_attention_heads=4, local_attention=8,
                  max_position_embeddings=128, global_attn_every_n_layers=3, pad_token_id=0, bos_token_id=0, eos_token_id=0,
                  cls_token_id=0, sep_token_id=0)
    names = {"embeddings.tok_embeddings": "token_embd", "embeddings.norm": "token_embd_norm",
             "layers.%d.attn_norm": "blk.%d.attn_norm", "layers.%d.attn.Wqkv": "blk.%d.attn_qkv",
             "layers.%d.attn.Wo": "blk.%d.attn_output", "layers.%d.mlp_norm": "blk.%d.ffn_norm",
             "layers.%d.mlp.Wi": "blk.%d.ffn_up", "layers.%d.mlp.Wo": "blk.%d.ffn_down", "final_norm": "output_norm"}
    make(root, "modern-bert", "modern-bert", "ModernBertModel", config, names=names, pooling="mean",
         keys=ENCODER | {"attention.layer_norm_epsilon": 1e-5, "attention.sliding_window": 8,
                         "attention.sliding_window_pattern": 3, "rope.freq_base": 160000.0, "rope.freq_base_swa": 10000.0,
                         "rope.scaling.type": "none", "hidden_activation": "gelu"})


def eurobert(root):
    make(root, "eurobert", "eurobert", "EuroBertModel", SMALL | dict(head_dim=8, mask_token_id=0),
         names=unprefixed(hf.NAMES), pooling="mean", keys=ENCODER)


def qwen3_embedding(root):
    make(root, "qwen3-embedding", "qwen3", "Qwen3Model", SMALL | dict(head_dim=16), names=unprefixed(hf.NAMES),
         pooling="lasttoken")


def unprefixed(names):
    """Names of a Model class, which lacks the prefix that a ForCausalLM class has."""
    return {key.removeprefix("model."): value for key, value in names.items()}


def gemma_embedding(root):
    def change(tensors, _config):
        for name in tensors:
            if "norm.weight" in name:
                tensors[name] = tensors[name] + 1
    make(root, "gemma-embedding", "gemma-embedding", "Gemma3TextModel",
         SMALL | dict(head_dim=8, num_hidden_layers=4, sliding_window=9, query_pre_attn_scalar=8,
                      use_bidirectional_attention=True,
                      layer_types=["sliding_attention", "sliding_attention", "full_attention", "sliding_attention"]),
         names=unprefixed(hf.NAMES) | {
             "layers.%d.post_attention_layernorm": "blk.%d.post_attention_norm",
             "layers.%d.pre_feedforward_layernorm": "blk.%d.ffn_norm",
             "layers.%d.post_feedforward_layernorm": "blk.%d.post_ffw_norm"}, change=change, pooling="mean",
         keys=ENCODER | {"attention.sliding_window": 9, "attention.sliding_window_pattern": 3,
                         "rope.freq_base": 1000000.0, "rope.freq_base_swa": 10000.0})


def jina_v3(root):
    make(root, "jina-bert-v3", "jina-bert-v3", "JinaEmbeddingsV3Model",
         dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=128,
              type_vocab_size=1, pad_token_id=1, layer_norm_eps=1e-5),
         names=BERT | unprefixed(hf.NAMES) | {
             "layers.%d.post_attention_layernorm": "blk.%d.attn_output_norm",
             "layers.%d.post_mlp_layernorm": "blk.%d.layer_output_norm", "layers.%d.mlp.fc1": "blk.%d.ffn_up",
             "layers.%d.mlp.fc2": "blk.%d.ffn_down"}, change=fused_qkv, pooling="mean",
         keys=ENCODER | {"attention.layer_norm_epsilon": 1e-5})


BERT = {
    "embeddings.word_embeddings": "token_embd", "embeddings.position_embeddings": "position_embd",
    "embeddings.token_type_embeddings": "token_types", "embeddings.LayerNorm": "token_embd_norm",
    "embeddings.layer_norm": "token_embd_norm",
    "encoder.layer.%d.attention.self.query": "blk.%d.attn_q", "encoder.layer.%d.attention.self.key": "blk.%d.attn_k",
    "encoder.layer.%d.attention.self.value": "blk.%d.attn_v",
    "encoder.layer.%d.attention.output.dense": "blk.%d.attn_output",
    "encoder.layer.%d.attention.output.LayerNorm": "blk.%d.attn_output_norm",
    "encoder.layer.%d.intermediate.dense": "blk.%d.ffn_up", "encoder.layer.%d.output.dense": "blk.%d.ffn_down",
    "encoder.layer.%d.output.LayerNorm": "blk.%d.layer_output_norm",
}


def reranker(root):
    """XLM-RoBERTa with a classifier of one label, as rerankers are; positions begin at pad_token_id + 1."""
    config = transformers.XLMRobertaConfig(
        vocab_size=golden.VOCABULARY, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=130, type_vocab_size=1, pad_token_id=1, layer_norm_eps=1e-5, num_labels=1)
    config._attn_implementation = "eager"
    model = hf.fill(transformers.XLMRobertaForSequenceClassification(config), "reranker").double().eval()
    names = {"roberta." + key: value for key, value in BERT.items()} | {
        "classifier.dense": "cls", "classifier.out_proj": "cls.output"}
    tensors = {hf.gguf_name(key, names): value.detach().float().numpy() for key, value in model.named_parameters()}
    tensors["position_embd.weight"] = tensors["position_embd.weight"][2:]
    keys = {"block_count": 2, "context_length": 128, "embedding_length": 32, "feed_forward_length": 48,
            "attention.head_count": 4, "attention.layer_norm_epsilon": 1e-5, "pooling_type": 4} | ENCODER

    def scores(ids):
        with torch.no_grad():
            return model(input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids))).logits[0].numpy()
    # Tokens that are the padding have no positions of their own there, so the texts must not have any.
    golden.make(root, "bert-rank", "bert", keys, tensors, hf.hidden(model.roberta),
                "transformers XLMRobertaForSequenceClassification", "cls", scores, avoid=1)


def pair_reranker(root):
    """BERT with a classifier of one label over its pooled first row. The second text's rows are of type 1."""
    separator = 3
    config = transformers.BertConfig(
        vocab_size=golden.VOCABULARY, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=128, type_vocab_size=2, layer_norm_eps=1e-12, num_labels=1)
    config._attn_implementation = "eager"
    model = hf.fill(transformers.BertForSequenceClassification(config), "pair_reranker").double().eval()
    names = {"bert." + key: value for key, value in BERT.items()} | {"bert.pooler.dense": "cls", "classifier": "cls.output"}
    tensors = {hf.gguf_name(key, names): value.detach().float().numpy() for key, value in model.named_parameters()}
    keys = {"block_count": 2, "context_length": 128, "embedding_length": 32, "feed_forward_length": 48,
            "attention.head_count": 4, "attention.layer_norm_epsilon": 1e-12, "pooling_type": 4} | ENCODER

    def inputs(ids):
        first = ids.index(separator) + 1 if separator in ids else len(ids)
        return {"input_ids": torch.tensor([ids]), "token_type_ids": torch.tensor([[0] * first + [1] * (len(ids) - first)])}

    def hidden(ids):
        with torch.no_grad():
            return model.bert(**inputs(ids)).last_hidden_state[0].numpy()

    def scores(ids):
        with torch.no_grad():
            return model(**inputs(ids)).logits[0].numpy()
    golden.make(root, "bert-pair", "bert", keys, tensors, hidden, "transformers BertForSequenceClassification", "cls", scores,
                separator=separator)


FAMILIES = [modern_bert, eurobert, gemma_embedding, jina_v3, reranker, pair_reranker, qwen3_embedding]
