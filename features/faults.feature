@data-plane @stand_in @ORCH-3058
Feature: Engine faults
  An engine that dies or stands still ends its task with a typed, retriable error, and the server goes on.

  # T9: Dynamo #8430 and lemonade #2826, where an engine that failed after the headers closed the stream in silence
  @OC-CTRL-2030 @OC-CTRL-2032 @ORCH-2009 @OC-ADAPT-5013 @OC-CORE-1041
  Scenario: an engine that dies while it decodes is a reset worker
    Given a server whose engine dies after 5 tokens
    When a task of 20 tokens is submitted
    And its stream is read to the end
    Then it ended with WORKER_RESET, retriable, after 5 tokens
    And its answer tells the error of the stream
    And tasks_failed_total has grown by 1 for WORKER_RESET

  @OC-CORE-1018 @OC-CORE-1019 @ORCH-3009 @ORCH-3023
  Scenario: a task that its engine fails before the first token goes on to another replica
    Given a server with 2 replicas, of which 1 fails before the first token
    When a task of 20 tokens is submitted
    And its stream is read to the end
    Then it ended well with 20 tokens
    And 2 replicas have started it
    And its metrics name another replica than started, with nothing of its KV cache

  @OC-CORE-1018 @ORCH-2006 @OC-CTRL-2030 @OC-CTRL-2032 @ORCH-2009
  Scenario: a task that no replica can decode ends once each has tried it
    Given a server with 2 replicas, of which 2 fail before the first token
    When a task of 20 tokens is submitted
    And its stream is read to the end
    Then it ended with REPLICA_EXHAUSTED, retriable, after 0 tokens
    And 2 replicas have started it
    And its answer tells the error of the stream

  # T2: SGLang #25811, where requests that an engine refused opened its breaker
  @OC-POOL-3014
  Scenario: an engine that refuses a hundred tasks is given the next one
    Given a server of its own whose engine refuses the first 100 tasks
    When 100 tasks are submitted, each after the end of the one before
    Then each task before it ended with INVALID_PARAMS
    And a task of 4 tokens still ends well

  @OC-CORE-1048 @OC-POOL-3014
  Scenario: an engine that has no room is asked again
    Given a server of its own whose engine has no room for the first 4 tasks
    When a task of 20 tokens is submitted
    And its stream is read to the end
    Then it ended well with 20 tokens
    And its first token came at least 1500 ms after it was submitted

  @OC-CORE-1048 @ORCH-2006
  Scenario: a task that its engine never has room for is told so, and the next one is served
    Given a server of its own whose engine has no room for the first 6 tasks
    When a task of 20 tokens is submitted
    And its stream is read to the end
    Then it ended with REPLICA_EXHAUSTED, retriable, after 0 tokens
    And a task of 4 tokens still ends well

  @ORCH-2006 @OC-CTRL-2030 @OC-CTRL-2032 @ORCH-2009
  Scenario: a task that every replica failed is told so, and the next one is served
    Given a server whose engine fails after 5 tokens
    When a task of 20 tokens is submitted
    And its stream is read to the end
    Then it ended with REPLICA_EXHAUSTED, retriable, after 5 tokens
    And its answer tells the error of the stream
    And a task of 4 tokens still ends well

  @ORCH-2006 @OC-CTRL-2030 @OC-CTRL-2032 @ORCH-2009
  Scenario: a defect of the server ends its task as one, and the next one is served
    Given a server whose adapter has a defect after 5 tokens
    When a task of 20 tokens is submitted
    And its stream is read to the end
    Then it ended with INTERNAL, not retriable, after 5 tokens
    And its answer tells the error of the stream
    And a task of 4 tokens still ends well

  @OC-POOL-3013 @ORCH-3018 @OC-CTRL-2036 @ORCH-2006
  Scenario: an engine that fails every task is given no more of them for a while
    Given a server of its own whose engine fails every task
    When tasks are submitted, each after the end of the one before, until one is refused
    Then it is refused with POOL_UNAVAILABLE
    And each task before it ended with REPLICA_EXHAUSTED
    And the pool is not ready, and its health says why

  @ORCH-3016 @OC-CORE-1022 @OC-CTRL-2032
  Scenario: an engine that stands still is ended by the watchdog
    Given a server whose engine stands still after 5 tokens
    When a task of 20 tokens is submitted
    And its stream is read to the end
    Then it ended with DECODE_TIMEOUT, retriable, after 5 tokens
    And the server is idle within 1000 ms

  @ORCH-3016 @OC-CORE-1022
  Scenario: a task that outlasts its wall time is ended by the watchdog
    Given a server whose tasks may run 300 ms
    When a long task is submitted
    And its stream is read to the end
    Then it ended with DECODE_TIMEOUT, retriable, after 1 tokens or more

  # T11: LocalAI #10719, where each request started a broken model anew
  @OC-POOL-3013 @OC-POOL-3003 @ORCH-3018 @OC-CTRL-2036
  Scenario: a pool whose only engine cannot come up is unavailable, and says why
    Given a server whose engine has no model
    When a task is submitted
    Then it is refused with POOL_UNAVAILABLE
    And nothing was enqueued
    And the health of the pool says why
