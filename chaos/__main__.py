"""`python -m chaos`: what `llama-orch chaos` becomes."""

from chaos.cli import app

if __name__ == "__main__":
    app(prog_name="llama-orch chaos")
