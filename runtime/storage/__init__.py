"""Storage in files and memory: written whole or not at all, locked, mapped; knows nothing of plans."""
