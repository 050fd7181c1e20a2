@catalog @ORCH-3060 @ORCH-3037
Feature: Catalog and pools
  What the catalog says of the model that a pool serves: its weights are held to it, and its end is the pool's.

  Background:
    Given a server of its own on an engine that takes any model

  @ORCH-3090
  Scenario: a model that is in the catalog is asked for by its id there
    When the model that the pool serves is registered under an id of its own
    Then a task for that id runs to its end
    And a task for an id that is in no catalog is refused with INVALID_PARAMS

  @ORCH-3062
  Scenario: other weights than the entry says fail the verification
    When the model that the pool serves is registered with another digest
    And the model is verified
    Then the verification is failed
    And catalog_verifications_total counts it

  @ORCH-3062 @ORCH-3065
  Scenario: the right weights are verified, with a warning of what is missing
    When the model that the pool serves is registered
    And the model is verified
    Then the verification is warned
    And its warnings name the signature and the SBOM

  @ORCH-3093 @OC-POOL-3003
  Scenario: weights that the catalog has another digest for are not loaded
    When a model of "other-model" is registered
    And the pool is reloaded to "other-model"
    Then the pool becomes ready, and its reload is rolled-back
    And a task runs to its end

  @ORCH-3069 @ORCH-3070 @ORCH-3072 @ORCH-3074 @ORCH-2006
  Scenario: a retired model takes no new sessions, and goes on with those it has
    Given 1 tasks of one session have ended
    When the model that the pool serves is registered
    And the model is retired within 30000 ms
    And a task is submitted
    Then it is refused with MODEL_DEPRECATED
    And a task of the session it has runs to its end
    And the gauge says that the model is Retired

  @ORCH-3071 @ORCH-3031
  Scenario: at its deadline the pool of a retired model is unloaded
    When the model that the pool serves is registered
    And the model is retired within 400 ms
    Then the pool is unloaded within 400 ms of it

  @ORCH-3073 @ORCH-3031
  Scenario: a retired model that is taken back is loaded and serves again
    When the model that the pool serves is registered
    And the model is retired within 0 ms
    Then the pool is unloaded within 2000 ms of it
    When the model is taken back
    Then the pool becomes ready, and its reload is done
    And a task runs to its end
    And the gauge says that the model is Active
