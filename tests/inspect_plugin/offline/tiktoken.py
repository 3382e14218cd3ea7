"""In the place of tiktoken, which downloads its vocabulary: inspect's mock model estimates its usage with it."""


class Words:
    """Words for tokens."""

    def encode(self, text, **options):
        return text.split()


def get_encoding(name):
    return Words()
