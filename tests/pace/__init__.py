"""The laws of the pace, and the tests that hold the controller to them; explained in docs/explanation/pace.md.

N is the number of calls that may be in flight, R a rate.

1. After any sequence of calls N is between 1 and its ceiling, and R is positive.
   test_bounds: the_handles_stay_within_their_bounds_after_any_history; test_machine
2. An obedient caller never has more than N calls in flight at a start; a lower N cancels nothing.
   test_bounds: an_obedient_caller_never_starts_above_the_limit_...; test_machine
3. A handle that does not limit the calls does not grow.
   test_growth: a_handle_that_does_not_bind_does_not_grow, workers_that_the_caller_never_uses_are_not_added
4. The refusals of one burst lower N at most once, and cost R one cut.
   test_bursts: a_burst_of_refusals_cuts_once, a_blip_costs_each_handle_one_cut
5. No sequence of refusals with any hints stops it: within a bounded time after the provider recovers, 90 % of the capacity is used.
   test_recovery: after_an_outage_of_..., hints_at_..._neither_freeze_nor_flood; test_hints: all
   test_bounds: no_wait_is_longer_than_what_was_lost_before, a_caller_that_asks_again_on_time_starts_within_a_few_turns
6. While the breaker is open nothing starts before the next probe is due, and one probe starts at a time.
   test_bounds: nothing_starts_before_..., one_probe_starts_..., a_probe_without_an_answer_...; test_recovery: an_outage_costs_few_probes_...
7. One call in a hundred that fails at random never lowers N.
   test_steadiness: one_error_in_a_hundred_lowers_nothing
8. Faults of calls that started before a cut cause no second cut.
   test_bursts: errors_of_calls_from_before_a_cut_cause_no_second_one
9. Calls that take three times as long from one moment on cost less than 5 % of the goodput.
   test_steadiness: latency_that_triples_costs_hardly_anything (and ..._with_few_calls_in_flight)
10. Four clients that share a quota, and start one after the other, come to equal shares: Jain's index is at least 0.95.
    test_fairness
11. Equal inputs give equal outputs.
    test_bounds: same_inputs_same_outputs, reading_changes_nothing, asking_twice_gives_the_same_answer
12. Before the first refusal calls start at most at 20 a second, at the pace of one caller that makes one call after the other, or at twice
    the rate of admission. Where nothing is refused that reaches the pace of a fixed pool within 25 round trips.
    test_growth: before_the_first_refusal_calls_start_at_no_more_than_twice_..., a_cold_start_meets_its_first_refusal_gently,
    where_nothing_limits_them_calls_reach_the_pace_of_a_fixed_pool_within_some_round_trips
13. A warm start is at its rate within a few round trips, and knowledge that is not true any more does no lasting harm, except a
    latency that is far too low (the test that is expected to fail).
    test_warm_start; test_bounds: the_handles_stay_within_their_bounds_after_any_warm_start
14. A time of little work or none changes little.
    test_steadiness: a_pause_..., no_measure_includes_a_pause, a_time_of_little_work_...; test_recovery: an_idle_time_...
15. Refusals that come back late, as from a gateway that queues first, are attributed correctly.
    test_steadiness: refusals_that_come_late_are_attributed_correctly
16. Callers that ask for it may start a few calls at once, and after an idle time as many as were admitted within two seconds of the last
    minutes, until a call is refused.
    test_first_calls
17. A wait that the provider asks for, and that is far too long, is waited out hardly more than once.
    test_hints: a_wait_that_is_asked_for_and_far_too_long_...
18. Refusals by chance, whatever their share up to a fifth, do not lower the rate: never to a tenth of what is possible.
    test_shedding
19. On a busy machine, whose timers are late and whose calls arrive late, what is allowed is used, a cap is found, and growth does not outrun
    what is started by more than a growth step.
    test_late_starts

Beyond the laws: test_excused (refusals for an item's own sake are no evidence, oversized calls keep no others waiting), test_history
(every noticeable change has an entry), test_cost (a call costs a bounded number of arithmetic steps), test_soak (a simulated day of
changing limits), test_silence (a provider that hangs opens the breaker), and the rest of test_steadiness (what is allowed is used).
"""
