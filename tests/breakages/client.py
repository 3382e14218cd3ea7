"""Of the client and the command line."""

from __future__ import annotations

from breakage import Breakage

LM_EVAL = "clients/python/whence/harness/lm_eval"

BREAKAGES = (
    Breakage(
        name="gRPC that writes into the log what a peer says",
        file="clients/python/whence/__init__.py",
        old='os.environ.setdefault("GRPC_VERBOSITY", "ERROR")',
        new="",
        tests="tests/fuzz/test_connections.py",
        only="front-random_frames",
    ),
    Breakage(
        name="SIGTERM left to the kernel, which ignores it for the first process of a container",
        file="clients/python/whence/cli/__init__.py",
        old="if os.getpid() == 1:",
        new="if False:",
        tests="tests/e2e/test_first_process.py",
    ),
    Breakage(
        name="the linear range: the log-likelihood does not count",
        file="clients/python/whence/linear_range.py",
        old="total > max(_LITTLE_NATS, -log_likelihood)",
        new="total > FEW_NATS",
        tests="tests/frontend/responses/test_linear_range.py",
    ),
    Breakage(
        name="terminal: a console that prints what it is given",
        file="clients/python/whence/cli/console.py",
        old="    console.push_render_hook(_Neutral())\n",
        new="",
        tests="tests/client/test_terminal.py",
    ),
    Breakage(
        name="proxies: this machine asked for through one",
        file="clients/python/whence/_channel.py",
        old="        *_proxies.options(target),\n",
        new="",
        tests="tests/client/test_proxies.py",
    ),
    Breakage(
        name="options: bounds that nothing checks",
        file="clients/python/whence/options.py",
        old='        option.check(f"{path}{name}", values[name])\n',
        new="        pass\n",
        tests="tests/client/test_options.py",
    ),
    Breakage(
        name="options: an unknown one is dropped",
        file="clients/python/whence/options.py",
        old="        if name not in options:\n",
        new="        if not options:\n",
        tests="tests/client/test_options.py",
    ),
    Breakage(
        name="clients: one is changed without the other",
        file="clients/python/whence/client.py",
        old="timeout_s: float = 600.0",
        new="timeout_s: float = 60.0",
        tests="tests/repository/test_generated_client.py",
    ),
    Breakage(
        name="command line: --json that tells errors in prose",
        file="clients/python/whence/cli/lazy.py",
        old='ctx.meta[_JSON] = "--json" in rest and "--json" in known',
        new="ctx.meta[_JSON] = False",
        tests="tests/client/test_cli.py",
    ),
    Breakage(
        name="tokens: one sent to another machine without TLS",
        file="clients/python/whence/_tokens.py",
        old="not (encrypted or allow_insecure or",
        new="not (encrypted or allow_insecure or True or",
        tests="tests/client/test_tokens.py",
    ),
    Breakage(
        name="tokens: one that an error repeats",
        file="clients/python/whence/_tokens.py",
        old='got = f"a text of {len(token)} characters" if',
        new='got = f"the text {token!r}" if',
        tests="tests/client/test_tokens.py",
    ),
    Breakage(
        name="lm-eval: the first choice taken for the model's",
        file=f"{LM_EVAL}/answers.py",
        old="    return scores.index(max(scores))\n",
        new="    return 0\n",
        tests="tests/harness/test_answers.py",
    ),
    Breakage(
        name="lm-eval: what a filter left taken for what was generated",
        file=f"{LM_EVAL}/samples.py",
        old='        responses = fields["resps"]\n',
        new='        responses = [[one] for one in fields["filtered_resps"]]\n',
        tests="tests/harness/test_answers.py",
    ),
    Breakage(
        name="lm-eval: an answer that is logged twice is asked twice",
        file=f"{LM_EVAL}/surveys.py",
        old="            seen.add((sample.doc_id, sample.prompt_hash))\n",
        new="",
        tests="tests/harness/test_samples.py",
    ),
    Breakage(
        name="lm-eval: a metric of 1 for bad says that an answer is right",
        file=f"{LM_EVAL}/surveys.py",
        old=" and name not in task.lower_is_better]",
        new="]",
        tests="tests/harness/test_samples.py",
    ),
    Breakage(
        name="lm-eval: choices by the order of their names",
        file=f"{LM_EVAL}/samples.py",
        old='sorted(named, key=lambda name: int(name.rpartition("_")[2]))',
        new="sorted(named)",
        tests="tests/harness/test_answers.py",
    ),
    Breakage(
        name="typescript: a token that is sent anywhere",
        file="clients/typescript/src/tokens.ts",
        old="if (encrypted || allowInsecure || isHere(target)) return;",
        new="if (encrypted || allowInsecure || target) return;",
        tests="tests/client/typescript",
        only="another_machine",
    ),
    Breakage(
        name="typescript: a retry that does not wait",
        file="clients/typescript/src/retries.ts",
        old="return wait < leftS ? wait : undefined;",
        new="return wait >= 0 ? 0 : undefined;",
        tests="tests/client/typescript",
        only="no_use",
    ),
    Breakage(
        name="typescript: a stream that goes on when nobody reads it",
        file="clients/typescript/src/client.ts",
        old="      cancel();\n",
        new="",
        tests="tests/client/typescript",
        only="leaving_a_stream",
    ),
)
