@control-plane @ORCH-2102 @ORCH-3031 @OC-CTRL-2003
Feature: Reload
  A pool is brought to another model as a whole, or stays on the one that it had.

  Scenario: the pool serves the new model, and no longer the old one
    Given a server of its own on an engine that takes any model
    When the pool is reloaded to "another-model"
    Then the pool becomes ready, and its reload is done
    And capabilities name the model "another-model"
    And a task for the old model is refused with INVALID_PARAMS
    And a task for "another-model" runs to its end

  @OC-POOL-3013
  Scenario: what runs and what waits is finished on the old model first
    Given a server of its own on an engine that takes any model
    And a running task of 400 tokens
    And a reader of it
    When the pool is reloaded to "another-model"
    And a task is submitted
    Then it is refused with POOL_UNREADY
    And the reader gets the whole stream
    And the pool becomes ready, and its reload is done

  @OC-CTRL-2005
  Scenario: its health tells how far the reload is
    Given a server of its own on an engine that takes any model
    And a running task
    When the pool is reloaded to "another-model"
    Then its health shows a reload that is draining, with 1 task running
    When it is canceled
    Then its health comes to show a reload that is done, with 0 tasks running

  @OC-POOL-3003
  Scenario: a model that cannot be loaded leaves the pool ready on the old one
    Given a server of its own on an engine that takes any model
    When the pool is reloaded to "file:/nowhere/model.gguf"
    Then the pool becomes ready, and its reload is rolled-back
    And the health of the pool says why
    And a task runs to its end

  @ORCH-2006 @OC-CTRL-2031
  Scenario: one reload at a time
    Given a server of its own on an engine that takes any model
    And a running task
    When the pool is reloaded to "another-model"
    And the pool is reloaded again
    Then it is refused with CONFLICT

  Scenario: a drained pool comes back by a reload
    Given a server of its own on an engine that takes any model
    When the pool is drained within 0 ms
    And the pool is reloaded to "another-model"
    Then the pool becomes ready, and its reload is done

  @OC-CTRL-2033
  Scenario: a pool that does not exist cannot be reloaded
    Given a server
    When a pool that does not exist is reloaded
    Then it is refused with NOT_FOUND

  @OC-CTRL-2034
  Scenario Outline: a reload that is not the contract's is refused and reloads nothing
    Given a server
    When the pool is reloaded with <body>
    Then it is refused with INVALID_PARAMS
    And the health of the pool does not say that it drains

    Examples:
      | body                                   |
      | {}                                     |
      | {"new_model_ref": ""}                  |
      | {"new_model_ref": 7}                   |
      | {"new_model_ref": "m", "force": true}  |
