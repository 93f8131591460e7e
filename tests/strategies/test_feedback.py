"""The next prompt lists the problems of the last answer, and nothing else of a strategy changes."""

from __future__ import annotations

import asyncio
import copy
import json

import anyio
import attrs
import cattrs
import pydantic
import pytest
import trio

from paceline import (
    CallableStrategy,
    CallError,
    Fault,
    FaultKind,
    InvalidOutputError,
    LLMCallStrategy,
    LLMWorkItem,
    Media,
    ParallelBatchProcessor,
    Price,
    ProcessorConfig,
    RateLimitError,
    RetryPolicy,
    TokenUsage,
    process_prompts,
)
from paceline.abc import Ladder
from paceline.exceptions import ConfigurationError
from paceline.llm_strategies import EscalationPolicy, OutputType, Problem, QuotaHint, ValidationFeedback
from paceline.llm_strategies.escalation import ModelEscalation

pytestmark = pytest.mark.anyio
USAGE = TokenUsage(10, 5)
IMAGE = Media("image/png", b"...")


@attrs.frozen
class Person:
    name: str
    age: int


class Scripted(LLMCallStrategy[Person]):
    """Gives for each call what its script says: an answer to be read, or an exception."""

    read = staticmethod(OutputType.of(Person).parse)

    def __init__(self, *script, quota="scripted"):
        self.script = list(script)
        self.lane = quota
        self.prompts = []
        self.events = []

    @property
    def quota(self):
        return self.lane

    async def prepare(self):
        self.events.append("prepare")
        await anyio.sleep(1)

    async def execute(self, prompt, attempt, timeout):
        self.prompts.append(prompt)
        await anyio.sleep(1)
        act = self.script.pop(0) if self.script else '{"name": "Ada", "age": 36}'
        if isinstance(act, BaseException):
            raise act
        return self.read(act), USAGE

    async def cleanup(self):
        self.events.append("cleanup")


def many(attempts):
    return ProcessorConfig(retry=RetryPolicy(max_attempts=attempts, max_invalid=attempts))


DEFAULT = """\
Who?

Your last answer was not valid.
It was:
{"name": "Ada", "age": "old"}
Right in it: name.
To be corrected:
- age: must be an integer, not a string (given: "old")
Give the whole answer again, with this corrected."""


async def test_the_prompt_after_an_invalid_answer_says_what_was_right_and_what_was_wrong_and_given():
    inner = Scripted('{"name": "Ada", "age": "old"}')
    batch = await process_prompts(ValidationFeedback(inner), ["Who?"])
    assert batch.results[0].output == Person("Ada", 36)
    assert inner.prompts == ["Who?", DEFAULT]


async def test_a_prompt_holds_the_items_own_text_and_the_last_problems_only():
    bad = [json.dumps({"name": "Ada" * 500, "age": f"old {n}"}) for n in range(10)]
    inner = Scripted(*bad)
    batch = await process_prompts(ValidationFeedback(inner), ["Who?"], config=many(12))
    assert batch.succeeded == 1
    assert len({len(prompt) for prompt in inner.prompts[1:]}) == 1
    for number, prompt in enumerate(inner.prompts[1:]):
        assert f"old {number}" in prompt
        assert f"old {number - 1}" not in prompt
        assert prompt.count("Who?") == 1


async def test_quotations_in_a_prompt_are_short():
    problems = [Problem("f" * 1_000 + str(n), "r" * 10_000, "v" * 10_000) for n in range(1_000)]
    error = InvalidOutputError("t" * 1_000_000, problems, right=["r" * 1_000] * 1_000)
    inner = Scripted(error)
    await process_prompts(ValidationFeedback(inner), ["Who?"])
    assert len(inner.prompts[1]) < 25_000
    assert "and 980 more" in inner.prompts[1]


async def test_items_share_a_strategy_but_not_their_reports():
    prompts = []

    async def answer(prompt):
        prompts.append(prompt)
        await anyio.sleep(1)
        if "To be corrected" in prompt:
            return prompt, USAGE
        raise InvalidOutputError("", [Problem("", f"wrong: {prompt}")])

    names = [f"<{n}>" for n in range(50)]
    batch = await process_prompts(ValidationFeedback(CallableStrategy(answer)), names)
    assert batch.succeeded == 50
    for result in batch.results:
        (name,) = [name for name in names if result.output.startswith(name)]
        assert f"wrong: {name}" in result.output
        assert sum(other in result.output for other in names) == 1


async def test_a_throttled_or_failed_call_is_repeated_with_the_same_prompt():
    inner = Scripted(
        RateLimitError(), '{"name": "Ada", "age": "old"}', RateLimitError(retry_after=1.0), TimeoutError(), ConnectionError()
    )  # fmt: skip
    batch = await process_prompts(ValidationFeedback(inner), ["Who?"], config=many(9))
    assert batch.succeeded == 1
    assert inner.prompts == ["Who?", "Who?", DEFAULT, DEFAULT, DEFAULT, DEFAULT]


async def test_a_valid_answer_clears_the_report():
    feedback = ValidationFeedback(Scripted())
    await feedback.on_error(InvalidOutputError("", [Problem("age", "is missing")]), 1)
    await feedback.execute("Who?", 2, 60.0)
    await feedback.execute("Who?", 1, 60.0)
    assert "To be corrected" in feedback.strategy.prompts[0]
    assert feedback.strategy.prompts[1] == "Who?"


async def test_an_answer_that_is_not_json_is_reported_with_its_position():
    inner = Scripted('{"name": "Ada",')
    await process_prompts(ValidationFeedback(inner), ["Who?"])
    assert "- must be JSON: " in inner.prompts[1]
    assert "line 1, column 16" in inner.prompts[1]
    assert "Right in it" not in inner.prompts[1]


class Model(pydantic.BaseModel):
    name: str
    age: int


async def test_a_users_strategy_that_raises_pydantics_error_is_understood():
    inner = Scripted('{"name": "Ada", "age": "old"}', '{"name": "Ada"}')
    inner.read = Model.model_validate_json
    batch = await process_prompts(ValidationFeedback(inner), ["Who?"])
    assert batch.succeeded == 1
    assert (
        '- age: Input should be a valid integer, unable to parse string as an integer (given: "old")'
        in inner.prompts[1]
    )
    assert "- age: Field required" in inner.prompts[2]
    assert "Right in it: name." in inner.prompts[2]
    assert '{"name": "Ada"}' in inner.prompts[2]


async def test_a_users_strategy_that_raises_cattrs_error_is_understood():
    inner = Scripted('{"name": "Ada", "age": "old"}')
    inner.read = lambda text: cattrs.structure(json.loads(text), Person)
    batch = await process_prompts(ValidationFeedback(inner), ["Who?"])
    assert batch.succeeded == 1
    assert "Right in it: name.\n" in inner.prompts[1]
    assert "- age: invalid value for type, expected int" in inner.prompts[1]


async def test_an_invalid_output_without_problems_is_reported_by_its_message():
    inner = Scripted(CallError("the poem does not rhyme", kind=FaultKind.INVALID))
    await process_prompts(ValidationFeedback(inner), ["Who?"])
    assert "the poem does not rhyme" in inner.prompts[1]
    assert "It was" not in inner.prompts[1]


async def test_a_fault_that_the_inner_classifier_calls_invalid_is_reported():
    class Bad(Exception):  # noqa: N818 - a user's
        pass

    class Classifier:
        def classify(self, exception):
            return Fault(FaultKind.INVALID, "rhymes are wanted")

    inner = Scripted(Bad())
    inner.error_classifier = Classifier()
    batch = await process_prompts(ValidationFeedback(inner), ["Who?"])
    assert batch.succeeded == 1
    assert "- rhymes are wanted" in inner.prompts[1]


async def test_half_of_a_surrogate_pair_does_not_reach_the_next_prompt():
    inner = Scripted('{"name": "\\ud800", "age": "\\ud800", "\\ud800": 1}', '{"name": "\ud800"}')
    await process_prompts(ValidationFeedback(inner), ["Who?"])
    assert all(prompt.encode() for prompt in inner.prompts)


# Parts


async def test_a_prompt_of_parts_keeps_its_media_and_has_one_text_more():
    inner = Scripted('{"name": "Ada", "age": "old"}')
    async with ParallelBatchProcessor() as processor:
        await processor.add_work(LLMWorkItem("q", ValidationFeedback(inner), ("Who is this?", IMAGE)))
        batch = await processor.process_all()
    assert batch.succeeded == 1
    first, second = inner.prompts
    assert first == ("Who is this?", IMAGE)
    assert second[:2] == first
    assert second[2].startswith("Your last answer was not valid.")
    assert len(second) == 3


async def after(problem, prompt, **options):
    feedback = ValidationFeedback(Scripted(), **options)
    await feedback.on_error(problem, 1)
    await feedback.execute(prompt, 2, 60.0)
    return feedback.strategy.prompts[0]


AGE = InvalidOutputError('{"age": {}}', [Problem("age", "must be an integer", "{}")], right=["name", "city"])


async def test_a_template_words_the_report():
    template = "{{}} {right} | {problems} | {answer} | {prompt}"
    said = '{} name, city | - age: must be an integer (given: {}) | {"age": {}} | Who {is} {0}?'
    assert await after(AGE, "Who {is} {0}?", template=template) == said


async def test_a_template_puts_the_parts_where_the_prompt_is():
    assert await after(AGE, ("Who?", IMAGE), template="Look: {prompt} Wrong:\n{problems}") == (
        "Look: ", "Who?", IMAGE, "Wrong:\n- age: must be an integer (given: {})",
    )  # fmt: skip
    assert await after(AGE, (IMAGE,), template="{problems}{prompt}") == ("- age: must be an integer (given: {})", IMAGE)


async def test_a_template_without_the_prompt_is_put_below_it():
    assert (
        await after(AGE, "Who?", template="Wrong: {problems}") == "Who?\n\nWrong: - age: must be an integer (given: {})"
    )
    assert await after(AGE, ("Who?", IMAGE), template="Again!") == ("Who?", IMAGE, "Again!")


async def test_an_unlisted_model_has_no_price():
    unknown = CallError("no", kind=FaultKind.INVALID)
    assert await after(unknown, "Who?", template="{prompt}|{right}|{answer}|") == "Who?|nothing||"


@pytest.mark.parametrize(
    ("template", "named"),
    [
        ("{promt}", r"\{promt\}"),
        ("{}", r"\{\}"),
        ("{0}", r"\{0\}"),
        ("{prompt.x}", r"\{prompt\.x\}"),
        ("{prompt[0]}", r"\{prompt\[0\]\}"),
        ("{prompt!r}", r"\{prompt!r\}"),
        ("{prompt:>10}", r"\{prompt:>10\}"),
        ("{prompt:{right}}", r"\{prompt:\{right\}\}"),
        ("{prompt", "expected '}'"),
        ("prompt}", "Single '}'"),
        (3, "must be a string"),
    ],
)
def test_a_template_with_another_field_is_refused(template, named):
    with pytest.raises(ConfigurationError, match=named) as raised:
        ValidationFeedback(Scripted(), template=template)
    if isinstance(template, str):
        assert "{prompt}, {right}, {problems}, {answer}" in str(raised.value)


@pytest.mark.parametrize("strategy", [None, Scripted, ValidationFeedback(Scripted())])
def test_an_inner_strategy_must_be_one_without_feedback(strategy):
    with pytest.raises(ConfigurationError, match="strategy must be an LLMCallStrategy"):
        ValidationFeedback(strategy)


# Everything else is the strategy's


class Costly(Scripted):
    model = "dear"
    price = Price(input=1.0, output=2.0)

    def expected_tokens(self, prompt):
        return float(len(prompt))


async def test_model_price_quota_and_classifier_are_those_of_the_strategy():
    inner = Costly(quota="lane")
    feedback = ValidationFeedback(inner)
    assert (feedback.model, feedback.price, feedback.quota) == ("dear", Costly.price, "lane")
    assert feedback.error_classifier is inner.error_classifier
    inner.model, inner.lane = "cheap", "other"
    assert (feedback.model, feedback.quota) == ("cheap", "other")
    assert feedback.ladder is None
    assert "Costly" in repr(feedback)


async def test_a_quota_hint_is_passed_on_and_cleared():
    inner = Scripted()
    feedback = ValidationFeedback(inner)
    inner.quota_hint = QuotaHint(retry_after=1.0)
    assert feedback.quota_hint == QuotaHint(retry_after=1.0)
    feedback.quota_hint = None
    assert inner.quota_hint is None


async def test_tokens_are_expected_for_the_prompt_that_is_sent():
    feedback = ValidationFeedback(Costly())
    assert feedback.expected_tokens("Who?") == 4.0
    await feedback.on_error(AGE, 1)
    expected = feedback.expected_tokens("Who?")
    await feedback.execute("Who?", 2, 60.0)
    assert expected == len(feedback.strategy.prompts[0]) > 4


async def test_the_inner_on_error_runs_first_and_its_state_belongs_to_the_item():
    class Counting(Scripted):
        failures = 0

        async def on_error(self, exception, attempt):
            self.failures += 1

        async def execute(self, prompt, attempt, timeout):
            self.prompts.append((self.failures, prompt[:4]))
            if self.failures < 2:
                raise AGE
            return Person("Ada", 36), USAGE

    inner = Counting()
    batch = await process_prompts(ValidationFeedback(inner), ["one ", "two "])
    assert batch.succeeded == 2
    for name in ("one ", "two "):
        assert [count for count, prompt in inner.prompts if prompt == name] == [0, 1, 2]
    assert inner.failures == 0


async def test_an_exception_in_the_inner_on_error_keeps_the_problems():
    class Failing(Scripted):
        async def on_error(self, exception, attempt):
            raise RuntimeError

    inner = Failing('{"name": "Ada", "age": "old"}')
    batch = await process_prompts(ValidationFeedback(inner), ["Who?"])
    assert batch.succeeded == 1
    assert inner.prompts == ["Who?", DEFAULT]


async def test_a_copy_copies_the_strategy_too():
    feedback = ValidationFeedback(Scripted())
    twin = copy.copy(feedback)
    assert twin.strategy is not feedback.strategy
    assert twin.strategy.prompts is feedback.strategy.prompts  # a shallow one


# Prepared once


async def test_the_strategy_is_prepared_once_and_cleaned_up_once():
    inner = Scripted()
    await process_prompts(ValidationFeedback(inner), ["a", "b", "c"])
    assert inner.events == ["prepare", "cleanup"]


async def test_a_strategy_within_several_feedbacks_is_prepared_once_for_all_of_them():
    inner = Scripted()
    async with ParallelBatchProcessor() as processor:
        for name in "abcdefgh":
            await processor.add_work(LLMWorkItem(name, ValidationFeedback(inner), name))
        batch = await processor.process_all()
        assert batch.succeeded == 8
        assert inner.events == ["prepare"]
    assert inner.events == ["prepare", "cleanup"]
    await process_prompts(ValidationFeedback(inner), ["again"])
    assert inner.events == ["prepare", "cleanup"] * 2


async def test_a_prepare_that_failed_is_tried_again_and_cleaned_up_once():
    class Shaky(Scripted):
        async def prepare(self):
            await super().prepare()
            if len(self.events) < 3:
                raise ConnectionError

    inner = Shaky()
    async with ParallelBatchProcessor() as processor:
        for name in "ab":
            await processor.add_work(LLMWorkItem(name, ValidationFeedback(inner), name))
        batch = await processor.process_all()
    assert batch.succeeded == 2
    assert inner.events == ["prepare", "prepare", "prepare", "cleanup"]


async def test_a_cleanup_without_a_prepare_does_nothing():
    inner = Scripted()
    feedback, other = ValidationFeedback(inner), ValidationFeedback(inner)
    await feedback.cleanup()
    await other.prepare()
    await feedback.cleanup()
    assert inner.events == ["prepare"]
    await other.cleanup()
    await other.cleanup()
    assert inner.events == ["prepare", "cleanup"]


async def test_the_strategy_is_cleaned_up_after_the_last_of_those_that_prepared_it():
    inner = Scripted()
    one, other = ValidationFeedback(inner), ValidationFeedback(inner)
    await one.prepare()
    await other.prepare()
    await one.cleanup()
    assert inner.events == ["prepare"]
    await other.cleanup()
    assert inner.events == ["prepare", "cleanup"]


def test_each_loop_has_its_own_preparation():
    inner = Scripted()
    feedback = ValidationFeedback(inner)

    async def prepare():
        await feedback.prepare()

    async def outer():
        await prepare()
        await anyio.to_thread.run_sync(asyncio.run, prepare())
        await feedback.cleanup()

    trio.run(outer)
    assert inner.events == ["prepare", "prepare", "cleanup"]


# Ladders


class Step(Scripted):
    def __init__(self, model, *script):
        super().__init__(*script, quota=model)
        self.model = model


async def test_on_a_ladder_the_next_model_gets_the_problems_of_the_previous_answer():
    low, high = Step("low", *['{"name": "Ada", "age": "old"}'] * 2), Step("high")
    ladder = ModelEscalation([low, high], EscalationPolicy(budget=2))
    batch = await process_prompts(ValidationFeedback(ladder), ["Who?"])
    assert batch.results[0].output == Person("Ada", 36)
    assert batch.results[0].model == "high"
    assert low.prompts == ["Who?", DEFAULT]
    assert high.prompts == [DEFAULT]
    assert low.events == high.events == ["prepare", "cleanup"]


async def test_a_ladder_is_wrapped_step_by_step_and_once():
    steps = (Step("low"), ValidationFeedback(Step("middle")), Step("high"))
    policy = EscalationPolicy()
    inner = ModelEscalation([*steps], policy)
    feedback = ValidationFeedback(inner, template="Again: {prompt}")
    assert isinstance(feedback.ladder, Ladder)
    assert feedback.ladder.policy is policy
    assert feedback.ladder.steps[1] is steps[1]
    assert [step.strategy for step in feedback.ladder.steps] == [steps[0], steps[1].strategy, steps[2]]
    assert feedback.ladder is feedback.ladder
    assert feedback.quota == "low"


async def test_taking_over_passes_the_strategies_within_to_each_other():
    class Taking(Scripted):
        taken = None

        def take_over(self, previous):
            self.taken = previous

    below, above = ValidationFeedback(Scripted()), ValidationFeedback(Taking())
    await below.on_error(AGE, 1)
    above.take_over(below)
    assert above.strategy.taken is below.strategy
    await above.execute("Who?", 2, 60.0)
    assert "- age: must be an integer" in above.strategy.prompts[0]
    bare = Scripted()
    other = ValidationFeedback(Taking())
    other.take_over(bare)
    assert other.strategy.taken is bare
