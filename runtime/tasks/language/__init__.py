"""Tasks of language models: perplexity, and those of lm-evaluation-harness."""
