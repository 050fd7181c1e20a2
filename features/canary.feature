@control-plane @ORCH-3033 @OC-POOL-3018
Feature: Canary
  A pool with a new version is tried on a part of the tasks of another pool, and is out of it again by one action.

  Scenario Outline: a share of nothing and of everything
    Given a server whose canary takes a share of <share>
    When 8 sessions have 1 task each
    Then all of them ran in the <side> pool

    Examples:
      | share | side   |
      | 0.0   | stable |
      | 1.0   | canary |

  Scenario: a session stays on its side
    Given a server whose canary takes a share of 0.5
    When 24 sessions have 2 tasks each
    Then each session stayed in one pool, and both pools had some

  Scenario Outline: a label takes a task to the canary, whatever its session
    Given a server whose canary takes the label "trial"
    When a task <labelled> is read to its end
    Then all of them ran in the <side> pool

    Examples:
      | labelled               | side   |
      | with the label "trial" | canary |
      | with the label "other" | stable |
      | without a label        | stable |

  @ORCH-2101
  Scenario: draining the canary is the roll-back, and what was accepted goes on
    Given a server of its own whose canary takes everything
    And a running task of 400 tokens
    And a reader of it
    When the canary is drained within 60000 ms
    And 8 sessions have 1 task each
    And a task with the label "trial" is read to its end
    Then all of them ran in the stable pool
    And the reader gets the whole stream
    And it ran in the canary pool

  @OC-POOL-3019 @ORCH-2103
  Scenario: the health of the stable pool shows its canary, and whether it takes work
    Given a server of its own whose canary takes everything
    When the health of the pool is read
    Then it shows a canary with a share of 1.0 and the label "trial" that takes work
    When the canary is drained within 60000 ms
    And the health of the pool is read
    Then it shows a canary with a share of 1.0 and the label "trial" that takes none
