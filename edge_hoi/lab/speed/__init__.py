"""Speed: latency, throughput and memory of several engines in one run.

In: `BenchmarkTarget`s and a source. Out: a `SpeedReport`, with tables, JSON and a plot.
"""
