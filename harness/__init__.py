"""The black-box harness: client, conformance run, command line `llama-orch`."""
