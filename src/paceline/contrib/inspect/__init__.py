"""Model provider for inspect_ai: evaluations at the pace that the provider allows.

    pip install 'paceline[inspect,gemini]'
    inspect eval task.py --model paceline/gemini:gemini-2.5-flash

The model after `paceline/` is a model string of `paceline.model`; `--model-base-url` and `-M name=value` are its arguments. inspect_ai finds
the provider by itself, by an entry point. How to use it, and what it does with inspect's settings, is in the documentation: "How to run
suites of other frameworks".
"""
