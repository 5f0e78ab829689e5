"""Running functions elsewhere: `submit(function, arguments, resources) -> Future`."""

from bondwright.run.cores import available_cores
from bondwright.run.pool import LocalPool
from bondwright.run.task import Resources, TaskResult, TaskStatus, Usage
from bondwright.run.worker import current_usage

__all__ = [
    "LocalPool",
    "Resources",
    "TaskResult",
    "TaskStatus",
    "Usage",
    "available_cores",
    "current_usage",
]
