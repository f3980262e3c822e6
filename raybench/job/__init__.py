"""YAML → Job: one file says what is compared; what is wrong in it is one line with its place.

job = load_job("jobs/quickstart.yaml")
for candidate in job.candidates:
    for model, method, hyperparameters in candidate.expand(): ...
"""

from raybench.job.load import job_schema, load_job, parse_job
from raybench.job.overrides import only
from raybench.job.resources import Resources
from raybench.job.spec import CandidateSpec, Configuration, DatasetSpec, Job, MethodSpec

__all__ = [
    "CandidateSpec",
    "Configuration",
    "DatasetSpec",
    "Job",
    "MethodSpec",
    "Resources",
    "job_schema",
    "load_job",
    "only",
    "parse_job",
]
