"""The plan verb: what a job will take, counted before anything is made. No torch."""

from ten.plan.count import Plan, make_plan
from ten.plan.lines import describe_plan

__all__ = ["Plan", "describe_plan", "make_plan"]
