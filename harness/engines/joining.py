"""Engines whose frames tell of their reader's pace (OC-CORE-1032)."""

JOINS_TOKENS = frozenset({"vllm"})
"""Engines that send what a reader has not taken yet in one frame, so that their frames tell of its pace.

vLLM does so: `RequestOutputCollector` of its `v1/engine/output_processor.py`.
"""
