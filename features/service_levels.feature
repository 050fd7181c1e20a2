@data-plane @ORCH-3040
Feature: Service levels
  While interactive tasks wait longer than their objective, a pool takes no new batch work, so that they wait less again.

  Background:
    Given a server whose interactive tasks are to start within 100 ms
    And every slot is busy
    And a batch task that waits

  @ORCH-2007 @OC-CTRL-2011 @OC-POOL-3016
  Scenario: a batch task is refused while the objective stays missed
    When interactive tasks start later than that
    And a batch task is submitted
    Then it is refused with ADMISSION_REJECT
    And the policy label is "service-level"
    And the pool's health tells that it sheds load
    And the status tells so of the pool, too
    And tasks_rejected_total has grown by 1 for ADMISSION_REJECT

  @OC-POOL-3017
  Scenario: what was admitted goes on, and interactive tasks are taken
    When interactive tasks start later than that
    And a batch task is submitted
    Then it is refused with ADMISSION_REJECT
    And the batch task that waited ends well
    When an interactive task is submitted
    Then it is accepted

  @OC-POOL-3017
  Scenario: when the objective is met again, batch tasks are taken again
    When interactive tasks start later than that
    And a batch task is submitted
    Then it is refused with ADMISSION_REJECT
    And the batch task that waited ends well
    When interactive tasks start at once, as many as were late
    And a batch task is submitted
    Then it is accepted
    And the pool's health tells of no shedding
