"""What the hop costs: `python -m tools bench`.

A paced engine, a load client and the servers that are compared are processes of their own. Figures are the kernel's
accounting of the hop's own processes, medians of interleaved rounds; read the ratios first, the machine's speed drifts.
"""
