"""Model provider for inspect_ai: evaluations at the pace that the provider allows.

    pip install 'paceline[inspect,gemini]'
    inspect eval task.py --model paceline/gemini:gemini-2.5-flash

What stands after `paceline/` is a model string of `paceline.model`; of a simulated model semicolons stand for the commas, at which inspect
splits. `--model-base-url` and `-M name=value` are arguments of `paceline.model`. inspect_ai finds the provider by itself, through the entry
point of its name, and calls each model through one pool that all of them share.
"""
