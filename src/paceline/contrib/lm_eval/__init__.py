"""Model for the lm-evaluation-harness (lm_eval): its tasks at the pace that the provider allows.

    pip install 'paceline[lm-eval,gemini]'
    python -m paceline.contrib.lm_eval --model paceline --model_args model=gemini:gemini-2.5-flash --tasks gsm8k --apply_chat_template

`model` is a model string of `paceline.model`; the other model_args are `base_url`, `api_key`, `max_gen_toks`, `journal`, `think_end_token`,
and further arguments of `paceline.model`. In Python, `import paceline.contrib.lm_eval.model` registers the model `paceline`. How to use it
is in the documentation: "How to run suites of other frameworks".
"""
