@control-plane @ORCH-2101
Feature: Shutdown
  A server that is told to stop finishes what runs, tells the rest to come again, and exits cleanly.

  @OC-CTRL-2071 @HME-004
  Scenario: an idle server stops at once
    Given a server of its own
    And a task that has ended
    When the server is told to stop
    Then it exits with 0 within 3000 ms

  @OC-CTRL-2071 @HME-004
  Scenario: running work is finished and its reader gets all of it
    Given a server that drains for 60000 ms
    And a running task of 100 tokens
    And a reader of it
    When the server is told to stop
    Then the reader gets the whole stream
    And it exits with 0 within 10000 ms

  @OC-CTRL-2071
  Scenario: waiting work is told to come again
    Given a server of its own
    And every slot is busy
    And a task that waits
    And a reader of it
    When the server is told to stop
    Then its stream ends with POOL_UNREADY, retriable

  @OC-CTRL-2071
  Scenario: new work is refused while the server drains
    Given a server of its own
    And a running task
    When the server is told to stop
    Then a new task is refused with POOL_UNREADY

  @OC-CTRL-2071 @HME-004
  Scenario: work that does not finish in time ends with a retriable error
    Given a server that drains for 300 ms
    And a running task
    And a reader of it
    When the server is told to stop
    Then its stream ends with POOL_UNREADY, retriable
    And it exits with 0 within 10000 ms
