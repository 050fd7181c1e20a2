@data-plane @ORCH-3017
Feature: Disconnects
  A reader who leaves takes nothing with it and leaves nothing behind; whether its task goes on is the task's own policy.

  Background:
    Given a server

  @disturbs @ORCH-2010
  Scenario Outline: a task whose last reader leaves goes on by default
    Given a task of 400 tokens that is <when>
    And a reader of it
    When the reader leaves by <how>
    And the way is free for it
    Then the task ends well
    And a late reader gets all its 400 tokens

    Examples:
      | when    | how   |
      | waiting | close |
      | waiting | reset |
      | running | close |
      | running | reset |

  @disturbs @ORCH-2010 @OC-CORE-1017
  Scenario Outline: a task that asked for it is canceled when its last reader leaves
    Given a task that is <when> and wants to be canceled on disconnect
    And a reader of it
    When the reader leaves by <how>
    Then its state is canceled within 1000 ms
    And tasks_canceled_total has grown by 1

    Examples:
      | when      | how   |
      | waiting   | close |
      | waiting   | reset |
      | starting  | close |
      | starting  | reset |
      | running   | close |
      | running   | reset |

  # T1: SGLang #36333, LiteLLM #30244 and Ray #37943, where a client that left kept its slot
  @disturbs @OC-CORE-1017
  Scenario Outline: nothing is left behind by a reader that leaves
    Given a task that is <when> and wants to be canceled on disconnect
    And a reader of it
    When the reader leaves by <how>
    And the way is free for it
    Then the server is idle within 1000 ms

    Examples:
      | when      | how   |
      | waiting   | close |
      | waiting   | reset |
      | starting  | close |
      | starting  | reset |
      | running   | close |
      | running   | reset |

  @disturbs @stand_in @OC-CORE-1017
  Scenario Outline: nothing is left behind by a reader that leaves after the last token
    Given a server whose engine does not end a task of 5 tokens
    And a task of 5 tokens that wants to be canceled on disconnect
    And a reader of it that has all its 5 tokens
    When the reader leaves by <how>
    Then its state is canceled within 1000 ms
    And the server is idle within 1000 ms

    Examples:
      | how   |
      | close |
      | reset |

  @disturbs @ORCH-2010 @OC-CORE-1017
  Scenario: a reader that leaves disturbs no other reader
    Given a running task of 400 tokens
    And two readers of it
    When the first reader leaves by reset
    Then the other reader gets the whole stream

  @disturbs @ORCH-2010
  Scenario: a task that wants to be canceled on disconnect lives while one reader stays
    Given a running task of 400 tokens that wants to be canceled on disconnect
    And two readers of it
    When the first reader leaves by close
    Then the other reader gets the whole stream

  @disturbs @OC-CORE-1017
  Scenario: a client that goes away before it is answered leaves nothing behind
    When a client submits a short task and goes away before the answer
    Then the server is idle within 10000 ms
    And the server still answers

  @disturbs @OC-CORE-1017
  Scenario: a client that asks for a stream and goes away before it is answered leaves nothing behind
    Given a task of 40 tokens that is running
    When a client asks for its stream and goes away before the answer
    Then the task ends well
    And the server is idle within 1000 ms

  @disturbs @OC-CORE-1017
  Scenario: many readers that come and go leave nothing behind
    Given a running task of 400 tokens
    When 30 readers come and leave at different points
    Then the task ends well
    And the server is idle within 1000 ms
