"""raybench: which of these checkpoints should I use?

    import raybench
    ranking = raybench.run("jobs/quickstart.yaml")
    ranking.to_pandas()
"""

__version__ = "0.1.0"
