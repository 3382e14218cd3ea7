"""The vocabulary of failures and of warnings: what a program may match on.

Every error of :mod:`whence.errors` names its :class:`Reason`, and every warning of an answer its :class:`WarningCode`.
One fault has one reason, whichever of client, front end, worker and command notices it. Messages get better from
version to version; reasons stay. Both are strings, so that they compare equal to what travels.

A reason follows one grammar, :data:`GRAMMAR`. ``X`` and ``Y`` are nouns of the interface:

===========================================  ==========================================================================
``INVALID_X``, ``NON_FINITE_X``              X was given, and no X can have that value
``UNKNOWN_X``                                X is a name, and not one of those that are known here
``MISSING_X``, ``EMPTY_X``                   X is needed, and was not given, or has nothing in it
``UNEXPECTED_X``, ``AMBIGUOUS_X``            X was given where none is taken, or can be read in two ways
``TOO_MANY_X``, ``TOO_FEW_X``,               X is beyond a bound; the message says which and by how much
``TOO_LARGE_X``, ``TOO_LONG_X``,
``TOO_SHORT_X``, ``TOO_DEEP_X``
``UNSUPPORTED_X``, ``MODEL_NOT_Y``           X is valid, or the model is, and this engine or build cannot use it
``X_NOT_FOUND``                              nothing of that name is there
``X_MISMATCH``                               two things do not belong together; both are named
``X_EXISTS``, ``X_IN_USE``, ``X_FULL``       the place is taken
``UNREADABLE_X``, ``CORRUPT_X``              X is there, and its bytes are not what they should be
``X_INCOMPLETE``                             a part of X is missing; nothing partial is passed off as whole
``X_FAILED``                                 X was tried and failed
``X_UNAVAILABLE``                            X cannot be reached now, and may be later
``X_EXPIRED``                                X was valid until a time that is past
``X_EXCEEDED``                               more of X was asked, or needed, than there is
``GRPC_<CODE>``                              a failure of the transport, which says nothing but its gRPC code
===========================================  ==========================================================================

Four words stand alone: ``CANCELLED``, ``INTERNAL``, ``INTERRUPTED`` and ``OUT_OF_MEMORY``.
An engine of another package may use reasons of its own.
"""

from __future__ import annotations

import re
from enum import StrEnum, auto
from typing import Final

_WORD: Final = r"[A-Z]+"
_NOUN: Final = rf"{_WORD}(_{_WORD})*"
GRAMMAR: Final = re.compile(
    rf"(INVALID|NON_FINITE|UNKNOWN|MISSING|EMPTY|UNEXPECTED|AMBIGUOUS|UNSUPPORTED|UNREADABLE|CORRUPT)_{_NOUN}"
    rf"|TOO_(MANY|FEW|LARGE|LONG|SHORT|DEEP)_{_NOUN}"
    rf"|{_NOUN}_(NOT_FOUND|MISMATCH|EXISTS?|IN_USE|FULL|INCOMPLETE|FAILED|UNAVAILABLE|EXPIRED|EXCEEDED)"
    rf"|MODEL_NOT_{_WORD}"
    rf"|GRPC_{_NOUN}"
    r"|CANCELLED|INTERNAL|INTERRUPTED|OUT_OF_MEMORY"
)


class _Named(StrEnum):
    """An enum of strings whose values are the names of its members."""

    @staticmethod
    def _generate_next_value_(name: str, start: int, count: int, last_values: list[str]) -> str:  # enum's
        return name


class Reason(_Named):
    """Why a call or a command failed. The line under each member says what to do; docs/errors.md has the table."""

    # What every call may meet

    CANCELLED = auto()
    """The caller ended the call. Nothing to do."""
    DEADLINE_EXCEEDED = auto()
    """Allow more time, or ask for less: fewer queries, a filter, no details."""
    INTERNAL = auto()
    """A bug. Report it with the request id; the server's log has the traceback under that id."""
    INVALID_MESSAGE = auto()
    """Send the message that the method takes, with texts in UTF-8, from stubs of the server's version."""
    MISSING_MESSAGE = auto()
    """Send one request, of at most the server's ``max_request_bytes``."""
    INVALID_REQUEST_ID = auto()
    """Send at most 128 characters of printable ASCII, or none to have an id made."""
    QUEUE_FULL = auto()
    """Wait as long as ``RetryInfo`` says and call again, or add replicas."""
    QUOTA_EXCEEDED = auto()
    """Wait as long as ``RetryInfo`` says and call again, ask for less, or have the tenant's quota raised."""
    TOO_LARGE_COST = auto()
    """Ask for fewer sequences to be scored: fewer candidates, or no scan; or have the tenant's quota raised."""
    TOO_LARGE_ANSWER = auto()
    """Ask for fewer sequences or queries at once, or leave out layers and tokens."""
    TOO_LARGE_FILTER = auto()
    """Name fewer sources, metadata or ids; put what they have in common into the corpus's metadata."""
    TOO_LARGE_MESSAGE = auto()
    """Ask for fewer queries, sequences or details at once, or raise ``max_message_bytes`` on both hops."""
    TOO_LARGE_NAME = auto()
    """Shorten the name."""
    TOO_LARGE_TEXT = auto()
    """Shorten the text, or raise ``max_text_bytes``."""
    TOO_MANY_FIELDS = auto()
    """Send fewer queries, sequences, token ids or filter values at once."""

    # Who calls

    MISSING_CREDENTIALS = auto()
    """Send an API key or a token as ``authorization: Bearer …``, or connect with a client certificate."""
    INVALID_CREDENTIALS = auto()
    """Check the key or token for completeness and for the server that it is for; it may have been revoked."""
    UNEXPECTED_TOKEN = auto()
    """Switch TLS on, or allow the token to be sent without it, where the network is trusted."""
    AMBIGUOUS_CREDENTIALS = auto()
    """Give a client either ``tls`` or gRPC's own ``credentials``."""
    CREDENTIALS_EXPIRED = auto()
    """Get a new token or key, and call again."""
    ISSUER_UNAVAILABLE = auto()
    """The issuer of tokens cannot be reached by the server, which has not seen its keys yet. Call again later."""
    MISSING_SCOPE = auto()
    """Ask whoever runs the server for the scope that the message names."""

    # What is asked about

    EMPTY_COMPLETION = auto()
    """Give the output that is to be attributed: at least one token."""
    EMPTY_CONVERSATION = auto()
    """Give messages that end with the assistant's."""
    MISSING_QUERIES = auto()
    """Send at least one query."""
    MISSING_QUERY_INPUT = auto()
    """Set one of ``text``, ``chat`` and ``tokens``."""
    UNEXPECTED_QUERIES = auto()
    """Send no queries where each sequence is its own query."""
    UNEXPECTED_SIGNIFICANT_ONLY = auto()
    """Ask for another search than the index alone, or for every hit."""
    TOO_MANY_QUERIES = auto()
    """Send fewer queries at a time, or ask for a lower ``query_rank``."""
    TOO_LONG_QUERY = auto()
    """Shorten the prompt; the completion must leave room for its context."""
    MISSING_CONTEXT = auto()
    """Give a prompt, or token ids that begin with the model's bos token."""
    INVALID_COMPLETION_START = auto()
    """Leave at least one token before the completion and one in it."""
    INVALID_TOKEN_ID = auto()
    """Give whole numbers from 0 to the size of the vocabulary less 1."""
    UNKNOWN_MEASUREMENT = auto()
    """Leave the measurement out for the log-likelihood, or update the server."""
    INVALID_CONVERSATION = auto()
    """Give each message a role and a content; the message names the one that is not so."""
    INVALID_LAST_ROLE = auto()
    """End the conversation with the assistant's message, which is what is attributed."""
    MISSING_ROLE = auto()
    """Give each message the role that the model's chat template knows it by."""
    MISSING_MESSAGES = auto()
    """Give a list of messages: ``[{"role": …, "content": …}, …]``."""
    CONVERSATION_INCOMPLETE = auto()
    """The chat template drops a part of the conversation: send prompt and completion, or leave out ``strict``."""
    AMBIGUOUS_COMPLETION = auto()
    """The chat template changes earlier messages once the last follows: send prompt and completion as text."""
    AMBIGUOUS_TURNS = auto()
    """The chat template does not keep the turns apart: send prompt and completion as text."""
    CHAT_TEMPLATE_FAILED = auto()
    """Check the roles of the messages and their order; the message repeats what the template says."""

    # How it is answered

    INVALID_FIELD = auto()
    """Give the field a value of its type and range."""
    INVALID_TOP_K = auto()
    """Ask for at least 1 sequence."""
    TOO_LARGE_TOP_K = auto()
    """Ask for fewer sequences, or raise the server's ``max_top_k``."""
    INVALID_CANDIDATES = auto()
    """Ask for at least 1 candidate, or leave the number to the server."""
    TOO_FEW_CANDIDATES = auto()
    """Ask for at least as many candidates as sequences, or leave the number to the server."""
    TOO_MANY_CANDIDATES = auto()
    """Ask for fewer candidates, or for a full scan, which scores every sequence."""
    INVALID_STOP_AT_RECALL = auto()
    """Give a recall of more than 0 and at most 1, or leave it to the server."""
    INVALID_DAMPING_FACTOR = auto()
    """Give a positive multiple of each layer's mean eigenvalue, such as 0.1; with an index, the index's own."""
    INVALID_QUERY_RANK = auto()
    """Give 0 for the whole gradient, a rank of at least 1, or leave it to the server."""
    INVALID_SEED = auto()
    """Give a whole number from 0 to 2**64 - 1."""
    INVALID_NOISE_SAMPLE = auto()
    """Ask for a sample within the bounds that the message names, or for none: 0."""
    INVALID_NGRAM = auto()
    """Ask for n-grams of a length within the bounds that the message names, or leave it to the server."""
    INVALID_LEVEL = auto()
    """Give a share above 0 and below 1: that of clean items that may be flagged by chance."""
    INVALID_SAMPLES = auto()
    """Ask for a number of samples within the bounds that the message names."""
    INVALID_FILTER = auto()
    """Send either sequences or a filter, and no empty or repeated value in it."""
    INVALID_LAYERS = auto()
    """Give a list of names or patterns."""
    INVALID_SEQUENCES = auto()
    """Give lists of ids, texts or examples."""
    UNKNOWN_DIRECTION = auto()
    """Ask for positive, negative or both."""
    UNKNOWN_SEARCH = auto()
    """Ask for a search that the message names, or leave it to the server."""
    UNKNOWN_DETAIL = auto()
    """Ask for totals, layers, or layers and tokens."""
    UNKNOWN_LAYER = auto()
    """Give names or patterns of layers that ``GetModel`` lists."""
    TOO_MANY_LAYERS = auto()
    """Use fewer, wider patterns."""
    UNKNOWN_GROUPING = auto()
    """Group by ``source``, ``document`` or ``metadata.NAME``."""
    TOO_MANY_GROUPS = auto()
    """Group by something coarser, or filter the sequences first."""
    INVALID_PAGE_TOKEN = auto()
    """Start again without a page token, or send the one of the last page."""
    INVALID_TOKEN_WEIGHTS = auto()
    """Between front end and worker: send one finite weight for each token."""

    # Models, shards and sequences that are asked for

    MISSING_MODEL = auto()
    """Name one of the models that are served."""
    MODEL_NOT_FOUND = auto()
    """Check the name: ``whence models`` lists what is served; offline, check the path."""
    MISSING_SEQUENCES = auto()
    """Name at least one sequence of the corpus, or give a text or an example."""
    MISSING_SEQUENCE_REFERENCE = auto()
    """Set one of ``sequence_id``, ``text``, ``completion`` and ``chat``."""
    EMPTY_SEQUENCE_REFERENCE = auto()
    """Give the sequence's text, or its id."""
    SEQUENCE_NOT_FOUND = auto()
    """Use the ``sequence_id`` of an answer of this generation of the corpus."""
    DOCUMENT_NOT_FOUND = auto()
    """Give the id of a document of this corpus; `whence corpus` took it from the input."""
    MATCHES_NOT_FOUND = auto()
    """Check the spelling of the filter: a sequence must have all that is asked."""
    TOO_MANY_SEQUENCES = auto()
    """Send fewer sequences at once, or raise ``max_score_sequences``."""
    TOO_FEW_SEQUENCES = auto()
    """Make the corpus of more documents; the message says how many sequences are needed."""
    TOO_LONG_SEQUENCE = auto()
    """Shorten the text, or send it in parts."""
    TOO_SHORT_SEQUENCE = auto()
    """Send a longer text; at least one of its tokens must count as trained on."""
    MISSING_SHARDS = auto()
    """Name at least one shard, or open them all."""
    SHARD_NOT_FOUND = auto()
    """Ask for a shard that the worker holds; the message names them."""
    MISSING_INDEX = auto()
    """Build an index with ``whence index`` and start the workers with ``--index``, or ask for a full scan."""
    INDEX_LAYERS_MISMATCH = auto()
    """Ask for layers that the index keeps, ask for a full scan, or build an index that keeps more."""

    # Between front end and workers

    GENERATION_MISMATCH = auto()
    """The worker's artefacts changed; the front end asks its replicas, or answers WORKER_UNAVAILABLE. Call again."""
    MODEL_UNAVAILABLE = auto()
    """The worker is still loading its model. Wait until its health is SERVING."""
    SHARD_UNAVAILABLE = auto()
    """Start workers that hold the shards that the message names."""
    WORKER_UNAVAILABLE = auto()
    """The worker is gone, draining or not ready. Call again; with replicas, another is asked."""
    WORKERS_UNAVAILABLE = auto()
    """Check that the workers run and that the front end's ``workers`` names them."""
    WORKER_FAILED = auto()
    """See the worker's log under the request id."""
    ANSWER_INCOMPLETE = auto()
    """A worker answered for a part of what it was asked. Compare the versions of front end and workers."""
    MISSING_ANSWER = auto()
    """The stream ended without an answer. Compare the versions of client and server."""
    INVALID_ANSWER = auto()
    """The answer contradicts itself. Compare the versions of client and server."""
    SCAN_INCOMPLETE = auto()
    """A worker ended its scan early. See its log; no ranking is given of a part of the corpus."""
    SEARCH_INCOMPLETE = auto()
    """A worker searched a part of its index. See its log."""
    TOKENS_MISMATCH = auto()
    """Give all workers of a model the same tokenizer."""
    INVALID_GRADIENT = auto()
    """The engine returned something that is no gradient matrix: a bug of the engine."""
    INVALID_INDEX_ROWS = auto()
    """Send rows as ``ReadIndexRows`` returns them."""
    TOO_MANY_ROWS = auto()
    """Ask for fewer rows of the index at once."""
    INVALID_SKETCH = auto()
    """Send sketches as ``PrepareQueries`` returns them."""
    INVALID_TENSOR = auto()
    """Send as many little-endian bytes as type and shape say."""
    NON_FINITE_GRADIENT = auto()
    """The model overflows in this precision: serve it in float32 or bfloat16."""
    NON_FINITE_INFLUENCE = auto()
    """The model overflows in this precision, or the damping is too small: serve it in float32, or raise the damping."""

    # The client and the command line

    INVALID_METADATA = auto()
    """Give pairs of a lower-case name and printable ASCII; bytes only under names that end with ``-bin``."""
    INVALID_RETRY_POLICY = auto()
    """Give the policy values within the bounds that the message names."""
    INVALID_TARGET = auto()
    """Give ``host:port`` or ``unix:PATH``, without ``http://``."""
    INVALID_TIMEOUT = auto()
    """Give more than 0 seconds."""
    MISSING_LAYERS = auto()
    """Ask for the answer with ``include_layers=True``."""
    MISSING_DEPENDENCY = auto()
    """Install the package that the message names."""
    INVALID_USAGE = auto()
    """See ``--help`` of the command."""
    INVALID_TEXT = auto()
    """Convert the text to UTF-8."""
    INVALID_JSON = auto()
    """Mend the JSON; the message says where it ends being any."""
    TOO_DEEP_INPUT = auto()
    """Nest what is read less deeply."""
    TOO_LARGE_NUMBER = auto()
    """Give a smaller number."""
    UNREADABLE_FILE = auto()
    """Fetch the file again; ``whence --debug`` shows where it was read."""
    AMBIGUOUS_QUERIES = auto()
    """Give the file of queries with the one table that was made of it."""
    UNREADABLE_RESULT = auto()
    """Give what ``--json``, ``--out`` or ``to_json()`` wrote, whole and unchanged; the message says what this is."""
    UNSUPPORTED_RESULT = auto()
    """Update Whence here: a later one has written the result."""
    FILE_FAILED = auto()
    """See what the operating system says of the file, in the message."""
    UNKNOWN_VARIABLE = auto()
    """Spell the environment variable as the README does, or unset it."""
    UNKNOWN_FIELD = auto()
    """Leave the field out, or spell it as /openapi.json does."""
    UNKNOWN_PATH = auto()
    """Check the path: /openapi.json lists every one."""
    UNSUPPORTED_METHOD = auto()
    """Send the HTTP method that the message names."""
    UNSUPPORTED_CONTENT_TYPE = auto()
    """Send ``Content-Type: application/json``, and the body uncompressed."""
    INVALID_HEADERS = auto()
    """Send headers that agree with each other."""
    UNKNOWN_HOST = auto()
    """Use the page's own address, or start ``whence explore`` with ``--allow-host``."""
    UNKNOWN_ORIGIN = auto()
    """Call from the page itself or from a program, not from a page of another origin."""
    PAGE_UNAVAILABLE = auto()
    """The process of the page is being stopped. Call again once it runs."""
    NETWORK_UNAVAILABLE = auto()
    """Check the network, the host's name and the port."""
    OUT_OF_MEMORY = auto()
    """Ask for less at once (``--batch-tokens``, ``--max-sequences``, ``--top-k``), or give it more memory."""
    INTERRUPTED = auto()
    """You ended the command. Offline jobs go on from where they were."""
    COMMAND_FAILED = auto()
    """A bug. ``whence --debug`` shows where; report it."""

    # Settings and artefacts

    INVALID_SETTINGS = auto()
    """Mend the setting that the message names; the README lists every one with its type and default."""
    UNREADABLE_CERTIFICATE = auto()
    """Put a valid certificate, the key that belongs to it, or the authorities into the file that the message names."""
    AUDIT_UNAVAILABLE = auto()
    """Make the audit log writable: free its disk, mend its path. With ``audit_required`` no call is answered before."""
    ADDRESS_UNAVAILABLE = auto()
    """Choose an address of this machine and a free port."""
    ARTEFACT_NOT_FOUND = auto()
    """Check the path: the folder has no manifest of this kind."""
    ARTEFACT_KIND_MISMATCH = auto()
    """Name the folder of the kind that the message expects."""
    CORRUPT_ARTEFACT = auto()
    """Fetch or make the artefact again; its bytes are not those that its manifest names."""
    FOLDER_IN_USE = auto()
    """Wait until the other job has ended, or choose another folder."""
    INVALID_FOLDER = auto()
    """Name a folder, or a name that is free."""
    DISK_FULL = auto()
    """Free space on the disk and run the command again; it goes on where it stopped."""
    WRITE_FAILED = auto()
    """Mend what the message says of the disk and run the command again; it goes on where it stopped."""
    JOB_MISMATCH = auto()
    """Finish the job that the folder holds, remove the folder, or choose another."""
    INVALID_PLAN = auto()
    """Correct what the message names; a plan is made by `whence validate plan` and never edited."""
    INVALID_QUERIES = auto()
    """Correct the line of the file that the message names."""
    SAMPLES_NOT_FOUND = auto()
    """Log the evaluation's samples: `lm_eval --log_samples --output_path FOLDER`, or `log_samples=True`."""
    UNREADABLE_SAMPLE = auto()
    """Evaluate again, or go on without that line; the message says where it is and what is wrong with it."""
    SPLIT_NOT_FOUND = auto()
    """Name the folder that has the data set's `train` and `ref` files."""
    MISSING_RELEVANT_ROWS = auto()
    """Check that the task is that of the data set: none of its training rows counts as relevant."""
    MISSING_COLUMN = auto()
    """Give a file with the columns that the message names; it says which are there."""
    INVALID_INFLUENCES = auto()
    """Give a finite influence of each sequence, once for each query; the message says where that is not so."""
    TOO_FEW_INFLUENCES = auto()
    """Give the influences of all sequences; the message says how many of a sign are needed."""
    AMBIGUOUS_SAMPLES = auto()
    """Name the folder of one model's samples; the message lists them."""
    UNKNOWN_TASK = auto()
    """Name a task of the samples; the message lists them."""
    UNKNOWN_FILTER = auto()
    """Name a filter that a task of the samples has."""
    UNKNOWN_METRIC = auto()
    """Name a metric of the samples that says right or wrong; the message lists their metrics."""
    MISSING_METRIC = auto()
    """Attribute all answers of the task, or leave it out: none of its metrics says which are right."""
    INVALID_LOG_LIKELIHOODS = auto()
    """Correct the line that the message names, or give what it says is missing."""
    INVALID_TRAIN_COMMAND = auto()
    """Correct the placeholders of the command; the message lists them."""
    CHECKS_FACTORS_MISMATCH = auto()
    """Check the factors that the report is of with `whence validate check`, or report without checks."""
    UNKNOWN_TRAINER = auto()
    """Name a function as module:function, of a module that can be imported here."""
    TRAINING_FAILED = auto()
    """Read the log that the message names, mend the trainer, and run the same command again."""
    PLAN_NOT_FOUND = auto()
    """Make a plan with `whence validate plan`, or name the folder that has one."""
    PLAN_EXISTS = auto()
    """Continue with the plan that the folder holds, or plan into another folder."""
    INVALID_REMOVALS = auto()
    """Correct the option, or the line of the rankings, that the message names."""
    INVALID_PBRF_SETTING = auto()
    """Correct the setting that the message names."""
    UNKNOWN_RUN = auto()
    """Name a run of the plan; the message says how many it has."""
    RUN_NOT_FOUND = auto()
    """Train and measure runs of the plan first, with `whence validate run` or `whence validate measure`."""
    NON_FINITE_LOG_LIKELIHOOD = auto()
    """Train that run again; the model that was measured has diverged."""
    BANK_CORPUS_MISMATCH = auto()
    """Give the corpus that the plan was made with."""
    TABLE_IN_USE = auto()
    """Wait until the other run has ended, or write to another file."""
    TABLE_EXISTS = auto()
    """Choose another file, or overwrite the table that is there."""
    CORPUS_EXISTS = auto()
    """Choose another folder, or overwrite the corpus that is there."""
    EXPORT_EXISTS = auto()
    """Choose another folder."""
    FACTORS_EXIST = auto()
    """Choose another folder."""
    INDEX_EXISTS = auto()
    """Choose another folder."""
    CORPUS_LENGTH_MISMATCH = auto()
    """Ingest the corpus again with at most the model's number of tokens a sequence."""
    CORPUS_TOKENIZER_MISMATCH = auto()
    """Ingest the corpus again with this model's tokenizer."""
    TOO_LARGE_TOKEN_ID = auto()
    """Give the model as it was trained: the corpus has tokens that its embeddings lack."""
    CHECKPOINTS_MISMATCH = auto()
    """Name checkpoints of one training: the same layers and the same tokenizer in each."""
    FACTORS_CORPUS_MISMATCH = auto()
    """Give the corpus that the factors were fitted on."""
    FACTORS_LAYERS_MISMATCH = auto()
    """Fit factors for the layers that are tracked, or export the model with these factors."""
    FACTORS_MODEL_MISMATCH = auto()
    """Fit factors for this model, or serve the model that they were fitted on."""
    ENGINE_FACTORS_MISMATCH = auto()
    """Start the worker again: its files changed while it started."""
    INDEX_CORPUS_MISMATCH = auto()
    """Build the index for this corpus, or serve the corpus that it belongs to."""
    INDEX_FACTORS_MISMATCH = auto()
    """Build the index with these factors, or serve the factors that it belongs to."""
    INDEX_MODEL_MISMATCH = auto()
    """Build the index for this model, or serve the model that it belongs to."""
    CERTIFICATE_CORPUS_MISMATCH = auto()
    """Serve the corpus that was validated, or certify this one; a proxy's certificate, too, is of one corpus."""
    CERTIFICATE_FACTORS_MISMATCH = auto()
    """Serve the factors that were validated, or certify these with ``whence validate``."""
    CERTIFICATE_INDEX_MISMATCH = auto()
    """Serve the index that was validated, or certify this one with ``whence validate``."""
    CERTIFICATE_MODEL_MISMATCH = auto()
    """Serve the model that was validated, or certify this one with ``whence validate``."""
    INVALID_CERTIFICATE = auto()
    """Leave out of the certificate what could not be measured; figures are finite numbers."""
    EXPORT_MODEL_MISMATCH = auto()
    """The exported graph is not the model: serve the model with ``--engine pytorch``."""
    EXPORT_PRECISION_MISMATCH = auto()
    """Set the precision of the export, or export the model in the precision wanted."""

    # Models and tokenizers

    INVALID_MODEL_FILE = auto()
    """Download the file again, or save the model again; the message names the file and what is wrong with it."""
    MISSING_WEIGHTS = auto()
    """Put the files that the message names beside the others."""
    INVALID_WEIGHTS = auto()
    """Download the weights again, or choose a wider precision: some are NaN or infinite."""
    WEIGHTS_MISMATCH = auto()
    """Put the configuration beside the weights that it was saved with."""
    UNSUPPORTED_WEIGHTS = auto()
    """Convert the weights to safetensors: ``save_pretrained(…, safe_serialization=True)``."""
    UNKNOWN_ADAPTER = auto()
    """Merge the adapter into its model and name the merged model."""
    UNKNOWN_ARCHITECTURE = auto()
    """Give a causal language model that transformers itself has."""
    UNKNOWN_QUANTIZATION = auto()
    """Name the model that the quantized weights were made from, or unpack them."""
    UNKNOWN_PRECISION = auto()
    """Choose a precision that the message names."""
    UNKNOWN_DEVICE = auto()
    """Choose ``auto``, ``cpu`` or ``cuda[:N]``."""
    UNKNOWN_PROVIDER = auto()
    """Install the build of onnxruntime that has the provider, or set another device."""
    PROVIDER_FAILED = auto()
    """Install the driver, CUDA and cuDNN that onnxruntime was built for, or set device ``cpu``."""
    UNKNOWN_ENGINE = auto()
    """Choose an engine that the message names, or install the package that brings it."""
    INVALID_ENGINE_OPTION = auto()
    """Give an option that the engine knows, with a value that it takes."""
    INVALID_SEARCH_DEVICE = auto()
    """Set ``search_device`` to a device that is there, or to ``cpu``."""
    UNSUPPORTED_CHECKPOINTS = auto()
    """Name one checkpoint: this is about a single model."""
    UNSUPPORTED_GRAPH = auto()
    """Try a newer onnxruntime, another precision, or ``--engine pytorch``."""
    UNSUPPORTED_LAYER = auto()
    """Leave the layer out with ``--layers``: its inputs cannot be assigned to sequences and tokens."""
    LAYER_GRADIENT_MISMATCH = auto()
    """Leave out the layers that the message names: their traced gradients are not those of the weights."""
    INVALID_LAYER_PATTERN = auto()
    """Give ``mlp``, ``all-linear`` or a regular expression."""
    LAYERS_NOT_FOUND = auto()
    """Choose layers that the model has; the message names some."""
    MODEL_NOT_BATCHABLE = auto()
    """Serve another model: what this one says of a sequence depends on the sequences beside it."""
    MODEL_NOT_CAUSAL = auto()
    """Serve a causal (decoder-only) model: this one looks at later tokens."""
    MODEL_NOT_EXPORTABLE = auto()
    """Serve the model with ``--engine pytorch``, or choose other layers."""
    MODEL_NOT_EXPORTED = auto()
    """Name a folder that ``whence export`` wrote."""
    MODEL_NOT_LOADABLE = auto()
    """Name a model that torch can load; an export is a graph without one."""
    MODEL_NOT_RUNNABLE = auto()
    """Give a decoder-only language model that reads token ids alone."""
    NON_FINITE_MODEL = auto()
    """Check the weights, or choose a wider precision: the logits are not finite."""
    TOKENIZER_NOT_FOUND = auto()
    """Add a ``tokenizer.json`` to the model."""
    TOKENIZER_MISMATCH = auto()
    """Make the tokenizer files agree with each other and with the model, as ``save_pretrained`` does."""
    UNSUPPORTED_TOKENIZER = auto()
    """Add a ``tokenizer.json``: a tokenizer without character offsets cannot be used."""
    MISSING_SPECIAL_TOKEN = auto()
    """Choose a chunk policy without the special token that the tokenizer lacks."""
    MISSING_CHAT_TEMPLATE = auto()
    """Give a template with ``--chat-template``, or send prompt and completion as text."""
    INVALID_CHAT_TEMPLATE = auto()
    """Mend the template's Jinja, or give another with ``--chat-template``."""
    INVALID_CHAT_DATE = auto()
    """Give a date such as 2026-01-31."""

    # API keys

    KEY_NOT_FOUND = auto()
    """Check the id: ``whence keys list`` shows the keys of a file."""
    UNKNOWN_SCOPE = auto()
    """Give ``attribute``, ``read-texts`` or ``administer``."""

    # Making a corpus

    MISSING_INPUT = auto()
    """Name at least one file or folder."""
    INPUT_NOT_FOUND = auto()
    """Check the path."""
    MISSING_SPLIT = auto()
    """Name one split of the data set, as in ``DIR/train``."""
    UNKNOWN_TABLE_FORMAT = auto()
    """Give a file that ends in .jsonl, .csv or .parquet."""
    UNKNOWN_CORPUS_FORMAT = auto()
    """Give files of a format that docs/corpus.md lists."""
    UNREADABLE_CORPUS_FILE = auto()
    """Check that the files are complete, leave them out, or allow more with ``max_bad_rows``."""
    INVALID_CORPUS_COLUMNS = auto()
    """Name columns that the rows have, and either prompt and completion or messages."""
    INVALID_CORPUS_ROW = auto()
    """Mend the row, or run without ``strict`` to have such rows left out and counted."""
    TOO_MANY_BAD_ROWS = auto()
    """Mend the rows, or allow more with ``max_bad_rows``."""
    INVALID_BAD_ROW_LIMIT = auto()
    """Give a number of rows, such as 1000, or a percentage, such as 10%."""
    INVALID_ROW_SIZE = auto()
    """Give a ``max_row_bytes`` within the bounds that the message names."""
    INVALID_CHUNK_POLICY = auto()
    """Give token numbers that fit each other; the message says which do not."""
    INVALID_SHARD_SIZE = auto()
    """Give at least 1 token a shard."""
    UNKNOWN_ID_SCOPE = auto()
    """Choose a scope of ids that the message names."""
    UNKNOWN_TRAIN_ON = auto()
    """Choose which turns count from those that the message names."""
    EMPTY_CORPUS = auto()
    """Give texts that make at least one sequence."""
    MISSING_TRAINED_TOKENS = auto()
    """Make the corpus again so that some tokens count as trained on."""
    UNKNOWN_DEMO = auto()
    """Choose ``tiny`` or ``smollm2``."""

    # Fitting, indexing, exporting

    INVALID_RANK = auto()
    """Give a rank from 0 to the number of processes less 1."""
    UNKNOWN_LABELS = auto()
    """Choose the kind of labels from those that the message names."""
    INVALID_TRAINING_SEQUENCES = auto()
    """Give the number of sequences that the model was trained on, at least 1."""
    MISSING_GRADIENTS = auto()
    """Choose other layers, or look at the weights: no gradient reached any tracked layer."""
    NON_FINITE_FACTORS = auto()
    """Fit the factors again in a wider precision: gradients overflowed."""
    NON_FINITE_SKETCH = auto()
    """Build the index in a wider precision: the model overflows."""
    INVALID_BITS = auto()
    """Keep 1, 8 or 16 bits a value."""
    INVALID_KEEP = auto()
    """Keep a share of more than 0 and at most 1 of the coordinates."""
    INVALID_SKETCH_WIDTH = auto()
    """Give a width that is a multiple of 64 with room for each layer group."""
    GRADIENTS_INCOMPLETE = auto()
    """Load the engine without ``query_rank`` to index with it."""

    # What gRPC itself says, without one of our reasons

    GRPC_CANCELLED = auto()
    """Something between client and server ended the call. Call again."""
    GRPC_UNKNOWN = auto()
    """See the server's log; a proxy may have answered in its place."""
    GRPC_INVALID_ARGUMENT = auto()
    """Check what lies between client and server."""
    GRPC_DEADLINE_EXCEEDED = auto()
    """Allow more time, and check that the server can be reached."""
    GRPC_NOT_FOUND = auto()
    """Check what lies between client and server."""
    GRPC_ALREADY_EXISTS = auto()
    """Check what lies between client and server."""
    GRPC_PERMISSION_DENIED = auto()
    """Ask whoever runs the proxy before the server for access."""
    GRPC_RESOURCE_EXHAUSTED = auto()
    """Send less at once: gRPC refused a message for its size."""
    GRPC_FAILED_PRECONDITION = auto()
    """Check what lies between client and server."""
    GRPC_ABORTED = auto()
    """Call again."""
    GRPC_OUT_OF_RANGE = auto()
    """Check what lies between client and server."""
    GRPC_UNIMPLEMENTED = auto()
    """Compare the versions of client and server, and check that the address is Whence's."""
    GRPC_INTERNAL = auto()
    """See the server's log; check TLS on both sides."""
    GRPC_UNAVAILABLE = auto()
    """Check that the server runs and that the address is right; the client has tried again by itself."""
    GRPC_DATA_LOSS = auto()
    """Check what lies between client and server."""
    GRPC_UNAUTHENTICATED = auto()
    """Give the credentials that the proxy before the server expects."""


class WarningCode(_Named):
    """What an answer, a model or a finished job warns of. Nothing failed; the line says what to keep in mind."""

    CANDIDATES_BY_TOKENS = auto()
    """Candidates were chosen by tokens in common; influential sequences without them are not among the hits."""
    CERTIFICATES_DIFFER = auto()
    """Workers of one model serve different certificates, or some none; give all of them the same."""
    CONVERSATION_INCOMPLETE = auto()
    """The chat template dropped a part of the conversation, which the influences say nothing about."""
    CORPUS_LARGER_THAN_TRAINING_SET = auto()
    """The corpus has more sequences than the model was said to be trained on; check ``training_sequences``."""
    DEAD_LAYERS = auto()
    """No gradient reached these layers; influence through them is 0."""
    FACTORS_OF_OTHER_CORPUS = auto()
    """The factors were fitted on another corpus than the one that is served."""
    FEWER_NEGATIVE_THAN_TOP_K = auto()
    """Fewer sequences have negative influence than were asked for; the others are left out."""
    FEWER_POSITIVE_THAN_TOP_K = auto()
    """Fewer sequences have positive influence than were asked for; the others are left out."""
    INFLUENCES_ESTIMATED = auto()
    """Influences are the index's estimates, not exact."""
    LOST_TOOLS = auto()
    """Conversations offer tools of which the chat template shows nothing."""
    LOST_TURNS = auto()
    """Conversations lost parts of turns that count, which the chat template does not show."""
    MISSING_TOKENIZER = auto()
    """Nothing says which tokenizer the model was trained with."""
    NEGATIVE_NOT_VALIDATED = auto()
    """No certificate of this model shows that its negative influences mean anything; on our banks they did not."""
    NOISE_UNKNOWN = auto()
    """The noise could not be estimated, for the reason in the message; hits have neither signal nor significance."""
    NOTHING_SIGNIFICANT = auto()
    """No influence in the ranking is told from noise: the hits are those of chance as much as of the training set."""
    OUTSIDE_LINEAR_RANGE = auto()
    """The influence is larger than a first-order estimate holds for."""
    PARTIAL_ANSWER = auto()
    """Shards were missing, and the caller asked for what can be had."""
    QUERIES_OF_BOUNDED_RANK = auto()
    """Query gradients were truncated to a rank to fit into memory."""
    QUERY_GRADIENT_TRUNCATED = auto()
    """The query's gradient was truncated; the message says with what error."""
    RERANK_INCOMPLETE = auto()
    """Time ran out before all candidates were scored; the hits are the best of those that were."""
    SAMPLE_INCOMPLETE = auto()
    """Time ran out before the whole sample was scored; the intervals are wider for it."""
    SEQUENCES_TOO_LONG_FOR_MODEL = auto()
    """Some sequences are longer than the model was trained on."""
    SLOW_PRECISION = auto()
    """The processor has no instructions for the precision asked for; float32 is tens of times as fast."""
    SUM_ABOVE_CERTAINTY = auto()
    """The hits' influences together promise a probability above 1: do not add them up."""
    TEXTS_WITHHELD = auto()
    """The caller may not read training data; ask whoever runs the server for the scope ``read-texts``."""
    TOKENIZER_LARGER_THAN_MODEL = auto()
    """The tokenizer has tokens that the model's embeddings lack."""
    TOP_K_EXCEEDS_CORPUS = auto()
    """Fewer sequences were there than were asked for."""
    TRAINING_SETS_DIFFER = auto()
    """Workers divide by different numbers of training sequences."""
    UNATTRIBUTED_PARAMETERS = auto()
    """A share of the parameters lies outside the tracked layers; influence through it is not counted."""
    UNUSED_MASKS = auto()
    """Conversations mark turns that are not to count, and these count all the same."""
    UNVERIFIED_TOKENIZER = auto()
    """The tokenizer could not be compared with another reading of the model's files."""
