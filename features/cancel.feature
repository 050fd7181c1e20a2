@data-plane @ORCH-2003 @OC-CTRL-2012
Feature: Cancel
  A cancel is answered when it is true: from then on no token comes, and the slot is free at once.

  Background:
    Given a server

  @disturbs @OC-CORE-1005 @OC-CTRL-2024
  Scenario: a waiting task is canceled and never starts
    Given every slot is busy
    And a task that waits
    When it is canceled
    Then its stream ends with CANCELED, and it has not started
    And its state is canceled

  @core @ORCH-3026 @OC-CTRL-2024 @ORCH-3017
  Scenario: no token comes after the cancel was answered
    Given a running task
    And a reader that has 4 tokens of it
    When it is canceled
    Then its stream ends with CANCELED
    And its state is canceled

  @ORCH-3026 @OC-CTRL-2024
  Scenario: a reader who comes after the cancel sees no token at all
    Given a running task
    And a reader that has 4 tokens of it
    When it is canceled
    And its stream is read a second time
    Then the second reader saw no token

  @disturbs @ORCH-3017
  Scenario: a cancel frees the slot within a second
    Given every slot is busy
    And a task that waits
    When one of the running tasks is canceled
    Then the task that waits starts within 1000 ms

  @disturbs @ORCH-3017
  Scenario: nothing is left behind by a cancel
    Given a running task
    When it is canceled
    Then the server is idle within 1000 ms

  @core
  Scenario: a second cancel changes nothing
    Given a running task
    When it is canceled
    And it is canceled again
    Then the cancel is answered the same
    And its state is canceled

  @OC-CORE-1016
  Scenario: a cancel after the end changes nothing
    Given a task that has ended
    When it is canceled
    Then its state is ended
    And its stream is as it was

  @disturbs @ORCH-3026 @OC-CORE-1016
  Scenario: a cancel that races with the start has one winner
    When 12 tasks are submitted and canceled at once
    Then each of them has exactly one end

  @disturbs @ORCH-3026 @OC-CORE-1016
  Scenario: a cancel that races with the end has one winner
    When 8 short tasks are canceled just as they end
    Then each of them has exactly one end

  @core @OC-CTRL-2033
  Scenario: a task that is not known cannot be canceled
    When a task that nobody submitted is canceled
    Then it is refused with NOT_FOUND
