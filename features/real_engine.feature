@data-plane @real_engine @ORCH-3054
Feature: Real engine
  On the real llama-server the text is the model's own, and a slot that is given up is given up in the engine.

  Background:
    Given a server on a real llama-server

  @ORCH-3051 @OC-TEST-7002
  Scenario: the text is what the engine itself answers for this seed
    When a strict task with seed 4711 is read to the end
    Then its text is the engine's own answer to the same request

  @ORCH-3017
  Scenario: a cancel stops the engine's slot within a second
    Given a running task
    And a reader that has 4 tokens of it
    When it is canceled
    Then the engine has no busy slot within 1000 ms

  @disturbs @ORCH-3017
  Scenario Outline: a reader that leaves stops the engine's slot within a second
    Given a task that is <when> and wants to be canceled on disconnect
    And a reader of it
    When the reader leaves by <how>
    Then the engine has no busy slot within 1000 ms

    Examples:
      | when     | how   |
      | starting | close |
      | running  | close |
      | running  | reset |

  @ORCH-3032 @OC-ADAPT-5011
  Scenario: version and model are those of the engine
    When a strict task with seed 1 is read to the end
    Then started names the engine's own version and the digest of its model
