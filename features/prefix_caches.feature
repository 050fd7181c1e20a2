@data-plane @stand_in @ORCH-3020
Feature: Prefix caches
  What an engine's prefix caches hold of its KV cache counts as used: a free slot alone starts no task.

  Background:
    Given a server with two slots whose prefix caches hold half of their KV cache
    And a running task whose ctx is half a slot

  Scenario: a task waits until its ctx has room beside prefix caches and running tasks, and nobody overtakes it
    When a task is submitted whose ctx is a whole slot
    And a second one whose ctx is half a slot
    Then both wait, and were told so
    When the running task is canceled
    Then both end well, the first one first

  Scenario: a task whose ctx has room starts beside the other
    When a task is submitted whose ctx is half a slot
    Then it starts at once
