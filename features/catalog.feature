@catalog @ORCH-3060 @ORCH-3037
Feature: Catalog
  Models that the server knows, and the trust in them. Each entry has an id of its own: scenarios share a server.

  Background:
    Given a server on an engine that takes any model

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

  @ORCH-3061
  Scenario: a state that there is not is refused
    When a model is registered
    And the model is set to "Resting"
    Then it is refused with INVALID_PARAMS
