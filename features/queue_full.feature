@data-plane @ORCH-3005 @OC-CORE-1002
Feature: Full queue
  The queue is bounded. When it is full, its policy decides, and whoever has to go is told when to come back.

  Background:
    Given a server

  # T4: Ollama #7758, where the bound did not hold for a model that was loaded
  @disturbs @ORCH-2007 @OC-CTRL-2011 @OC-CORE-1001 @ORCH-3004 @OC-CORE-1043
  Scenario: a full queue says when to come back
    Given every slot is busy
    When batch tasks are submitted until one is refused
    Then the refusal says when to come back, and by which policy
    And the refused task is not known
    And the refusal is counted

  @ORCH-2007 @OC-CTRL-2011
  Scenario: a full queue under "reject" refuses the newcomer
    Given a server whose queue is small, under "reject"
    And a full batch lane
    When a batch task is submitted
    Then it is refused with ADMISSION_REJECT
    And the policy label is "reject"
    And every task that waited still waits

  @ORCH-3004
  Scenario: a full batch lane leaves the interactive lane open
    Given a server whose queue is small, under "reject"
    And a full batch lane
    When an interactive task is submitted
    Then it is accepted

  @OC-CTRL-2010
  Scenario: a task that was refused is welcome when there is room again
    Given a server whose queue is small, under "reject"
    And a full batch lane
    When a batch task is submitted
    And room is made in the batch lane
    And the same request is sent again
    Then it is accepted

  @OC-CORE-1006
  Scenario: a full lane under "drop-lru" drops the task that has waited longest
    Given a server whose queue is small, under "drop-lru"
    And a full batch lane
    When a batch task is submitted
    Then it is accepted
    And the task that came first ends with QUEUE_FULL_DROP_LRU, retriable
    And the other tasks still wait

  @ORCH-2007 @OC-CORE-1007
  Scenario: under "drop-lru" a batch task displaces no interactive one
    Given a server whose queue is small, under "drop-lru"
    And a queue full of interactive tasks
    When a batch task is submitted
    Then it is refused with QUEUE_FULL_DROP_LRU
    And the policy label is "drop-lru"
    And every task that waited still waits

  @OC-CORE-1006
  Scenario: under "shed-low-priority" an interactive task takes the place of the last batch task
    Given a server whose queue is small, under "shed-low-priority"
    And a queue full of batch tasks
    When an interactive task is submitted
    Then it is accepted
    And the task that came last ends with ADMISSION_REJECT, retriable
    And the other tasks still wait

  @ORCH-2007 @OC-CORE-1007
  Scenario: under "shed-low-priority" a batch task is refused
    Given a server whose queue is small, under "shed-low-priority"
    And a queue full of batch tasks
    When a batch task is submitted
    Then it is refused with ADMISSION_REJECT
    And the policy label is "shed-low-priority"
    And every task that waited still waits

  Scenario Outline: the policy shows in capabilities and is counted when it acts
    Given a server whose queue is small, under "<policy>"
    And a queue full of batch tasks
    When an interactive task is submitted
    And a batch task is submitted
    Then capabilities name the policy "<policy>"
    And admission_backpressure_events_total has grown for "<policy>"

    Examples:
      | policy            |
      | reject            |
      | drop-lru          |
      | shed-low-priority |
