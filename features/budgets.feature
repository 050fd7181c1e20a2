@data-plane @ORCH-3099 @OC-CORE-1023
Feature: Budgets and throttle
  A session spends no more than it has, and a token asks for no more than it may.

  @OC-CTRL-2068
  Scenario: admission and stream tell what is left
    Given a server whose sessions may use 5000 tokens
    When a task of the session with 10 tokens is submitted
    Then the answer tells the budgets that are left
    And its stream tells the budgets that are left

  @ORCH-3100 @OC-CORE-1024 @OC-METRICS-7111 @OC-CORE-1034
  Scenario: metrics frames and the session show the same figure after the end
    Given a server whose sessions may use 5000 tokens
    When a task of the session with 10 tokens is submitted
    And its stream is read to its end
    Then its last metrics frame shows what its session has left

  @OC-CTRL-2068 @ORCH-3100 @OC-CORE-1024 @OC-METRICS-7111 @ORCH-2004
  Scenario Outline: each budget that a session has is told wherever what is left is told
    Given a server whose sessions may use <amount> of <budget>
    When a task of the session with 10 tokens is submitted
    And its stream is read to its end
    Then admission and stream tell what is left of <budget>, and of no other
    And the last metrics frame and the session tell the same that is left of <budget>

    Examples:
      | amount | budget  |
      | 5000   | tokens  |
      | 500000 | time_ms |
      | 50     | cost    |

  @ORCH-2007 @OC-CTRL-2011 @OC-CORE-1034
  Scenario Outline: a session that cannot afford a task is refused
    Given a server whose sessions may use <amount> of <budget>
    When a task of the session with 2000 tokens is submitted
    Then it is refused with ADMISSION_REJECT
    And the policy label is "<label>"

    Examples:
      | amount | budget  | label         |
      | 40     | tokens  | budget-tokens |
      | 5      | time_ms | budget-time   |
      | 1      | cost    | budget-cost   |

  @disturbs @OC-CORE-1034
  Scenario: a task that was canceled before it ran gives all of its budget back
    Given a server whose sessions may use 5000 of tokens
    And every slot is busy
    When a task of the session with 2000 tokens is submitted
    Then the session has less than 3000 of tokens left
    When it is canceled
    Then the session has its 5000 of tokens again

  @OC-CTRL-2068
  Scenario: a session without budgets is told of none
    Given a server
    When a task is submitted
    Then the answer tells no budgets

  @ORCH-3006 @OC-CTRL-2011 @OC-CORE-1035
  Scenario: a token that asks too often is throttled, and told for how long
    Given a server that admits 1 task a second
    When tasks are submitted until one is refused
    Then it is refused with ADMISSION_REJECT
    And the policy label is "throttle"

  @ORCH-3036 @OC-CTRL-2011 @OC-CORE-1035
  Scenario: a token has a bound of open tasks
    Given a server that allows 1 open task
    And a running task
    When a batch task is submitted
    Then it is refused with ADMISSION_REJECT
    And the policy label is "open-tasks"

  @ORCH-3006 @OC-CTRL-2060 @OC-CORE-1035
  Scenario: capabilities name the limits
    Given a server that admits 1 task a second
    Then capabilities name 1 task a second
