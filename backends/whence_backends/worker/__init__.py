"""The worker: one model, its factors, its index and some shards of its corpus, served over gRPC to front ends.

A call enters in ``serving`` and is read by ``requests``. It is answered by the parts that ``model`` puts together:
``gradients``, ``scoring`` and ``searching``. All of them rest on ``runtime``; ``config`` has the settings.
"""
