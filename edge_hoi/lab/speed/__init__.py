"""Measure how fast engines are: latency, throughput and memory of several engines in one run."""
