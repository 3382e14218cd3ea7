"""What hosts calls is tried on services of the tests' own, and on a front end before stub workers."""

from frontend.conftest import ask, eventually, failure_of, front, logs, start_front, start_worker, worker

__all__ = ["ask", "eventually", "failure_of", "front", "logs", "start_front", "start_worker", "worker"]
