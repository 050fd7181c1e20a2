@data-plane @OC-CTRL-2030
Feature: Deadlines
  A deadline that cannot be met is refused; one that passes in the queue ends the task before any engine sees it.

  Background:
    Given a server

  @disturbs @OC-CTRL-2010 @OC-CORE-1029
  Scenario Outline: a deadline that is none is refused
    When a task is submitted with a deadline of <deadline> ms
    Then it is refused with DEADLINE_UNMET
    And nothing was enqueued

    Examples:
      | deadline             |
      | 0                    |
      | -1                   |
      | -9223372036854775808 |

  @disturbs @ORCH-3029 @OC-CORE-1029
  Scenario: a deadline shorter than the predicted work is refused
    Given the server has measured its pace
    When a long task is submitted with a deadline of 1 ms
    Then it is refused with DEADLINE_UNMET
    And nothing was enqueued

  @disturbs @OC-CORE-1028
  Scenario: a task whose deadline passes in the queue never starts
    Given every slot is busy with tasks that were said to be short
    When a task is submitted that has to be done in 2000 ms
    Then it ends with DEADLINE_UNMET, and has not started
