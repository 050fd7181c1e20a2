@control-plane @ORCH-2101 @OC-CTRL-2002
Feature: Drain
  A pool that is drained closes to new tasks at once, and gives what it has until a deadline.

  @OC-CTRL-2036 @OC-POOL-3013
  Scenario: a draining pool refuses new tasks with a hint
    Given a server of its own
    When the pool is drained within 60000 ms
    And a task is submitted
    Then it is refused with POOL_UNREADY

  Scenario: running work finishes before the deadline
    Given a server of its own
    And a running task of 100 tokens
    And a reader of it
    When the pool is drained within 60000 ms
    Then the reader gets the whole stream

  # T13: LocalAI #10578, where one stuck call held the drain for ever
  Scenario: work that runs over the deadline ends with a retriable error
    Given a server of its own
    And a running task
    And a reader of it
    When the pool is drained within 200 ms
    Then its stream ends with POOL_UNREADY, retriable
    And the server is idle within 2000 ms

  # T13: and the other pools are not touched by it
  Scenario: another pool takes no notice of a drain that waits
    Given a server of its own with two pools
    And a running task
    When the pool is drained within 60000 ms
    And a task is sent to the other pool
    Then the task of the other pool ends well
    And its health shows a drain that is draining, with 1 task running

  @ORCH-2103 @OC-CTRL-2001
  Scenario: its health says that it drains
    Given a server of its own
    When the pool is drained within 60000 ms
    And the health of the pool is read
    Then the pool is live and draining, and not ready

  @OC-CTRL-2005
  Scenario: its health tells how far the drain is
    Given a server of its own
    And a running task
    When the pool is drained within 60000 ms
    Then its health shows a drain that is draining, with 1 task running
    And at most 60000 ms are left of it
    When it is canceled
    Then its health comes to show a drain that is drained, with 0 tasks running

  @OC-CTRL-2033
  Scenario: a pool that does not exist cannot be drained
    Given a server
    When a pool that does not exist is drained
    Then it is refused with NOT_FOUND

  @OC-CTRL-2034
  Scenario Outline: a drain that is not the contract's is refused and drains nothing
    Given a server
    When the pool is drained with <body>
    Then it is refused with INVALID_PARAMS
    And the health of the pool does not say that it drains

    Examples:
      | body                          |
      | {}                            |
      | {"deadline_ms": -1}           |
      | {"deadline_ms": "soon"}       |
      | {"deadline_ms": 1, "now": 1}  |
