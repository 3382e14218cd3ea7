"""An engine of somebody else's, found by its entry point: the fake engine, but each batch takes ``delay_s``."""

import time
from dataclasses import replace

from whence_backends.engines.fake import create as create_fake


def create(config):
    return ToyEngine(create_fake(replace(config, options={})), float(config.options.get("delay_s", 0)))


class ToyEngine:
    def __init__(self, fake, delay_s):
        self._fake = fake
        self._delay_s = delay_s
        self.info = replace(fake.info, engine="toy")
        self.query_gradients = fake.query_gradients
        self.precondition = fake.precondition
        self.close = fake.close

    def score(self, preconditioned, sequences, detail):
        time.sleep(self._delay_s)
        return self._fake.score(preconditioned, sequences, detail)

    def device_memory_bytes(self):
        return 4096.0
