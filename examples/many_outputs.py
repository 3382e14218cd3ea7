"""Many outputs, their hits as one data frame, and a matrix of scores: needs ``whence[pandas]``.

python examples/many_outputs.py localhost:50051
"""

import sys
from collections.abc import Iterator

import pandas as pd

import whence

CAPITALS = {"Durrow": "Brelary", "Myrrenland": "Marrford", "Kermath": "Vessbridge"}


def outputs() -> Iterator[whence.Query]:
    """The outputs, one after the other, as they may come from a file or from a model."""
    for country, capital in CAPITALS.items():
        yield whence.Query.text(f"The capital of {country} is", f" {capital}", query_id=country)


def main(server: str) -> None:
    """Attribute all outputs, then score each of them against every hit."""
    with whence.Client(server) as client:
        answers = []
        for answer in client.attribute_many(outputs(), top_k=3):
            if isinstance(answer, whence.FailedQuery):
                print(f"{answer.query.query_id}: {answer.error}")
            else:
                answers.append(answer)
        hits = pd.concat([answer.to_pandas() for answer in answers])
        print(hits[["query_id", "rank", "sequence_id", "influence", "signal"]].to_string(index=False))

        scores = client.score_matrix(list(outputs()), sequence_ids=list(hits["sequence_id"].unique()))
        print(scores.to_pandas().T.to_string())


if __name__ == "__main__":
    main(sys.argv[1])
