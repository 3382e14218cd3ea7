"""An evaluation with inspect_ai whose every sample names the training sequences that its answer came from.

inspect eval examples/inspect_task.py@capitals --model hf/local -M model_path=./model
inspect eval examples/inspect_task.py@researcher --model …
"""

from inspect_ai import Task, task
from inspect_ai.agent import react
from inspect_ai.dataset import Sample
from inspect_ai.scorer import includes
from inspect_ai.solver import generate

from whence.harness.inspect.queries import PromptFormat
from whence.harness.inspect.scorer import attribution
from whence.harness.inspect.tool import training_sequences

SAMPLES = [
    Sample(id="durrow", input="The capital of Durrow is", target="Brelary"),
    Sample(id="myrrenland", input="The capital of Myrrenland is", target="Marrford"),
]


@task
def capitals(top_k: int = 3, prompt_format: PromptFormat = "chat") -> Task:
    """Questions, scored for being right and for their origin."""
    return Task(
        dataset=SAMPLES, solver=generate(), scorer=[includes(), attribution(top_k=top_k, prompt_format=prompt_format)]
    )


@task
def researcher() -> Task:
    """An agent that can ask which training sequences an output came from."""
    question = "The model completed 'The capital of Durrow is' with ' Brelary'. Which training sequence taught it that?"
    return Task(
        dataset=[Sample(id="who-said-so", input=question, target="letters/durrow-1#0")],
        solver=react(tools=[training_sequences(top_k=3)]),
        scorer=includes(),
    )
