@catalog @ORCH-3060 @ORCH-3037
Feature: Catalog
  Models that the server knows, the trust in them, and their end.

  Background:
    Given a server of its own on an engine that takes any model

  Scenario: a model is registered and read again
    When a model is registered
    Then it is registered as it was sent
    And the model is read as it was sent

  Scenario: the same registration twice is one
    When a model is registered
    And it is registered again
    Then it is registered as it was sent

  Scenario: an id is not given to another content
    When a model is registered
    And another digest is registered under its id
    Then it is refused with CONFLICT

  @ORCH-3061
  Scenario Outline: an entry that is none is refused
    When a model is registered with <field> <value>
    Then it is refused with INVALID_PARAMS

    Examples:
      | field      | value                          |
      | id         | null                           |
      | id         | "../up"                        |
      | id         | ".hidden"                      |
      | id         | ""                             |
      | digest     | null                           |
      | digest     | "sha256:12"                    |
      | digest     | "md5:d41d8cd98f00b204"         |
      | source_url | "https://user:key@example/m"   |
      | colour     | "red"                          |

  @ORCH-3060
  Scenario: a model that nobody registered is not known
    When the model is read
    Then it is refused with NOT_FOUND

  @ORCH-3063 @ORCH-3066 @ORCH-2006
  Scenario Outline: a registration that its trust policy refuses is stored nowhere
    When a model of "<source>" is registered under <policy>
    Then it is refused with UNTRUSTED_ARTIFACT
    And the model is not known

    Examples:
      | source                     | policy                                                          |
      | https://evil.invalid/m     | {"mode": "strict", "allowed_registries": ["models.example"]}    |
      | hf:organised/repo          | {"mode": "strict", "allowed_registries": ["hf:org"]}            |
      | file:/models/../etc/passwd | {"mode": "strict", "allowed_registries": ["file:/models"]}      |
      | https://models.example/m   | {"mode": "strict"}                                              |
      | https://models.example/m   | {"mode": "permissive", "require_signature": true}               |
      | https://models.example/m   | {"mode": "permissive", "require_sbom": true}                    |

  @ORCH-3066
  Scenario: a source inside an allowed registry is registered under a strict policy
    When a model of "https://models.example/m" is registered under {"mode": "strict", "allowed_registries": ["models.example"]}
    Then it is registered as it was sent

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

  @ORCH-3065
  Scenario: weights that are not here yet are pending, with what is missing named
    When a model is registered
    And the model is verified
    Then the verification is pending
    And its warnings name the signature and the SBOM

  @ORCH-3065
  Scenario: a missing signature fails the verification under a strict policy
    When a model of "https://models.example/m" is registered under {"mode": "strict", "allowed_registries": ["models.example"]}
    And the model is verified
    Then the verification is failed

  @ORCH-3064
  Scenario: a deleted model is gone
    When a model is registered
    And the model is deleted
    Then the model is not known

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

  @ORCH-3061
  Scenario: a state that there is not is refused
    When a model is registered
    And the model is set to "Resting"
    Then it is refused with INVALID_PARAMS
