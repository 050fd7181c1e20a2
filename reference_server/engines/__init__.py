"""The adapters: llama.cpp, vLLM, TGI, Triton, and a mock in the server's own process."""
