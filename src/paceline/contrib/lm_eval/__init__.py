"""Model for the lm-evaluation-harness (lm_eval): its tasks at the pace that the provider allows.

    pip install 'paceline[lm-eval,gemini]'
    python -m paceline.contrib.lm_eval --model paceline --model_args model=gemini:gemini-2.5-flash --tasks gsm8k --apply_chat_template

`model` is a model string of `paceline.model`; of a simulated model semicolons stand for the commas, at which lm_eval splits. The other
model_args are:

    base_url, api_key      arguments of `paceline.model`, as all others that are not named here
    max_gen_toks           upper bound on the tokens of an answer, for tasks that have none; 256 by default
    journal                path of a journal file: a run that is started again with it repeats no call that was answered
    think_end_token        text after which the answer begins, if the server leaves what the model thought in it
"""

from importlib import import_module

__all__ = ["register"]


def register() -> None:
    """Make the model `paceline` known to lm_eval in this process, as `python -m paceline.contrib.lm_eval` does.

        paceline.contrib.lm_eval.register()
        lm_eval.simple_evaluate(model="paceline", model_args={"model": "gpt-5-mini"}, tasks=["gsm8k"], apply_chat_template=True)

    Raises:
        MissingExtraError: lm_eval is not installed.
    """
    import_module(f"{__name__}._model")
